-- name: upsert
-- Write current rows from one JSON document; an older version of a row is replaced.
INSERT INTO {name} ({columns})
SELECT {columns} FROM json_populate_recordset(NULL::{name}, $1::text::json)
ON CONFLICT ({key}) DO UPDATE SET ({values}) = ROW({excluded_values});

-- name: stage
-- A table for rows that are about to be written.
CREATE TEMP TABLE staged_rows ON COMMIT DROP AS SELECT {columns} FROM {name} WITH NO DATA;

-- name: upsert_staged
-- Write current rows from that table; an older version of a row is replaced.
INSERT INTO {name} ({columns})
SELECT {columns} FROM pg_temp.staged_rows
ON CONFLICT ({key}) DO UPDATE SET ({values}) = ROW({excluded_values});

-- name: drop_staged
-- The rows are written.
DROP TABLE pg_temp.staged_rows;

-- name: add
-- Write rows from one JSON document where none is there of their key.
INSERT INTO {name} ({columns})
SELECT {columns} FROM json_populate_recordset(NULL::{name}, $1::text::json)
ON CONFLICT ({key}) DO NOTHING;

-- name: load
-- All current rows, with the columns of their history.
SELECT {aliased} FROM {name} t;

-- name: load_rows
-- The current rows of these keys, with the columns of their history.
SELECT {aliased}
FROM unnest({key_arrays}) AS wanted ({key})
JOIN {name} t USING ({key});

-- name: versions
-- The newest version up to block $3 of each of these rows: one step in the index for each,
-- however long its history is.
SELECT h.*
FROM unnest({key_arrays}) AS wanted ({key})
CROSS JOIN LATERAL (
    SELECT {v_state}, v.transaction_index, v.event_index
    FROM {history} v
    WHERE ({v_key}) = ({wanted_key}) AND v.block_number <= $3
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h;

-- name: versions_of_pools
-- The newest version up to block $1 of each row of these pools (NULL: of all).
SELECT h.*
FROM {name} c
CROSS JOIN LATERAL (
    SELECT {v_state}, v.transaction_index, v.event_index
    FROM {history} v
    -- With an equality the planner, which takes versions for evenly spread, may go back through the
    -- index of blocks, past all versions of other rows. Only the versions' own index has this order.
    WHERE ({v_version_key}, v.block_number) <= ({c_version_key}, $1)
        AND ({v_version_key}) >= ({c_version_key})
        AND ROW({v_key}) IS NOT DISTINCT FROM ROW({c_key})
    ORDER BY {v_newest_first}
    LIMIT 1
) h
WHERE $2::text[] IS NULL OR c.pool_id = ANY ($2::text[]);

-- name: versions_of_all
-- The newest version up to block $1 of every row, of those that the current table lacks, too.
SELECT h.*
FROM (SELECT {key} FROM {name} UNION SELECT {key} FROM {history}) c
CROSS JOIN LATERAL (
    SELECT {v_state}, v.transaction_index, v.event_index
    FROM {history} v
    -- As above.
    WHERE ({v_version_key}, v.block_number) <= ({c_version_key}, $1)
        AND ({v_version_key}) >= ({c_version_key})
        AND ROW({v_key}) IS NOT DISTINCT FROM ROW({c_key})
    ORDER BY {v_newest_first}
    LIMIT 1
) h;

-- name: drop_versions
-- Delete the versions above a block; returns the keys of the rows that they belonged to.
WITH gone AS (
    DELETE FROM {versions} WHERE block_number > $1 RETURNING {version_key}
)
SELECT {c_key}
FROM (SELECT DISTINCT {version_key} FROM gone) AS touched
JOIN {name} c USING ({version_key});

-- name: versions_without_row
-- The ids of versions whose current row is gone: no history shows them.
SELECT DISTINCT v.id
FROM {versions} v
WHERE NOT EXISTS (SELECT FROM {name} c WHERE c.id = v.id);

-- name: delete_rows
-- Delete the current rows of these keys.
DELETE FROM {name} t
USING unnest({key_arrays}) AS wanted ({key})
WHERE ({t_key}) = ({wanted_key});

-- name: drop_appended
-- Delete the rows above a block.
DELETE FROM {name} WHERE block_number > $1;

-- name: first_position
-- The first block with a version of a position of a holder.
SELECT min(block_number) FROM vesu_position_history WHERE user_id = $1;
