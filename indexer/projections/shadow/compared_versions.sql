-- name: create_suspected
-- Room for the keys of versions that may differ.
CREATE TEMP TABLE suspected ON COMMIT DROP AS
SELECT {stored_key} FROM {live}.{stored} WITH NO DATA;

-- name: suspect_versions
-- Versions of the blocks $1 to $2 that are stored otherwise.
INSERT INTO pg_temp.suspected ({stored_key})
SELECT {stored_key}
FROM (
    SELECT *, true AS here FROM {live}.{stored} WHERE block_number BETWEEN $1 AND $2
) AS l
FULL JOIN (
    SELECT *, true AS here FROM vesu_shadow.{stored} WHERE block_number BETWEEN $1 AND $2
) AS s USING ({stored_key})
WHERE l.here IS NULL OR s.here IS NULL
    OR ROW({l_stored_values}) IS DISTINCT FROM ROW({s_stored_values});

-- name: suspect_of_rows
-- Versions of the blocks $1 to $2 whose current row differs in what their history takes from it.
INSERT INTO pg_temp.suspected ({version_key}, block_number, transaction_index, event_index)
SELECT {version_key}, v.block_number, v.transaction_index, v.event_index
FROM (
    SELECT {p_version_key}
    FROM vesu_shadow.differing_{name} p
    LEFT JOIN {live}.{name} l USING ({key})
    LEFT JOIN vesu_shadow.{name} s USING ({key})
    WHERE ROW({l_fixed}) IS DISTINCT FROM ROW({s_fixed})
) AS d
JOIN (
    SELECT {version_key}, block_number, transaction_index, event_index FROM {live}.{versions}
    UNION ALL
    SELECT {version_key}, block_number, transaction_index, event_index FROM vesu_shadow.{versions}
) AS v USING ({version_key})
WHERE v.block_number BETWEEN $1 AND $2;

-- name: suspect_of_settings
-- Versions of the blocks $1 to $2 that refer to settings of which each side says something else.
INSERT INTO pg_temp.suspected ({version_key}, block_number, transaction_index, event_index)
SELECT {version_key}, v.block_number, v.transaction_index, v.event_index
FROM (
    SELECT id AS settings_id
    FROM {live}.asset_settings l
    FULL JOIN vesu_shadow.asset_settings s USING (id)
    WHERE ROW({l_settings}) IS DISTINCT FROM ROW({s_settings})
) AS d
JOIN (
    SELECT {version_key}, block_number, transaction_index, event_index, settings_id
    FROM {live}.{versions}
    UNION ALL
    SELECT {version_key}, block_number, transaction_index, event_index, settings_id
    FROM vesu_shadow.{versions}
) AS v USING (settings_id)
WHERE v.block_number BETWEEN $1 AND $2;

-- name: analyze_suspected
-- They may be none, few or all.
ANALYZE pg_temp.suspected;

-- name: mark_suspected
-- Of these versions the rows of the history that differ.
INSERT INTO vesu_shadow.differing_{name} ({key}, in_live, in_shadow, differs)
SELECT {key}, l.here IS NOT NULL, s.here IS NOT NULL, true
FROM (
    SELECT h.*, true AS here
    FROM {live}.{name} h
    WHERE ({h_stored_key}) IN (SELECT {p_stored_key} FROM pg_temp.suspected p)
) AS l
FULL JOIN (
    SELECT h.*, true AS here
    FROM vesu_shadow.{name} h
    WHERE ({h_stored_key}) IN (SELECT {p_stored_key} FROM pg_temp.suspected p)
) AS s USING ({key})
WHERE l.here IS NULL OR s.here IS NULL OR ROW({l_values}) IS DISTINCT FROM ROW({s_values})
ON CONFLICT ({key}) DO NOTHING;

-- name: drop_suspected
-- They are looked at.
DROP TABLE pg_temp.suspected;
