-- name: create_suspected
-- Room for the keys of rows that may differ, of a table that is only added to.
CREATE UNLOGGED TABLE vesu_shadow.suspected_{stored} AS
SELECT {stored_key} FROM {live}.{stored} WITH NO DATA;

-- name: create_compared
-- The last block whose added rows were compared.
CREATE UNLOGGED TABLE vesu_shadow.compared_ahead AS SELECT $1::bigint AS block_number;

-- name: read
-- The last block whose added rows were compared.
SELECT block_number FROM vesu_shadow.compared_ahead;

-- name: suspect
-- Rows of the blocks $1 to $2 that are stored otherwise.
INSERT INTO vesu_shadow.suspected_{stored} ({stored_key})
SELECT {stored_key}
FROM (
    SELECT *, true AS here FROM {live}.{stored} WHERE block_number BETWEEN $1 AND $2
) AS l
FULL JOIN (
    SELECT *, true AS here FROM vesu_shadow.{stored} WHERE block_number BETWEEN $1 AND $2
) AS s USING ({stored_key})
WHERE l.here IS NULL OR s.here IS NULL
    OR ROW({l_stored_values}) IS DISTINCT FROM ROW({s_stored_values});

-- name: move
-- Remember up to which block rows were compared.
UPDATE vesu_shadow.compared_ahead SET block_number = $1;

-- name: take_back
-- What was compared above block $1 is of another branch. Its suspects stay: they are looked at again.
UPDATE vesu_shadow.compared_ahead SET block_number = LEAST(block_number, $1);

-- name: suspected_exist
-- Whether any row was found to differ.
SELECT EXISTS (SELECT FROM vesu_shadow.suspected_{stored});

-- name: analyze_found
-- They may be few or all.
ANALYZE vesu_shadow.suspected_{stored};

-- name: mark_still_differing
-- Of the rows that were found to differ, those up to block $1 that still do.
INSERT INTO vesu_shadow.differing_{name} ({key}, in_live, in_shadow, differs)
SELECT {key}, l.here IS NOT NULL, s.here IS NOT NULL, true
FROM (
    SELECT h.*, true AS here
    FROM {live}.{name} h
    WHERE ({h_stored_key}) IN (SELECT {p_stored_key} FROM vesu_shadow.suspected_{stored} p)
        AND h.block_number <= $1
) AS l
FULL JOIN (
    SELECT h.*, true AS here
    FROM vesu_shadow.{name} h
    WHERE ({h_stored_key}) IN (SELECT {p_stored_key} FROM vesu_shadow.suspected_{stored} p)
        AND h.block_number <= $1
) AS s USING ({key})
WHERE l.here IS NULL OR s.here IS NULL OR ROW({l_values}) IS DISTINCT FROM ROW({s_values})
ON CONFLICT ({key}) DO NOTHING;
