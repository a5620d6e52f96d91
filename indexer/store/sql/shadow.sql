-- name: exists
-- Whether a shadow is there, finished or left by a kill.
SELECT to_regclass('vesu_shadow.progress') IS NOT NULL;

-- name: create_schema
-- Make an empty place for the shadow.
CREATE SCHEMA vesu_shadow;

-- name: create_progress
-- Where the shadow's own cursor stands.
CREATE TABLE vesu_shadow.progress (
    block_number bigint NOT NULL,
    last_reorg bigint NOT NULL,
    fold_version integer NOT NULL
);

-- name: begin_progress
-- The shadow's cursor before its first batch.
INSERT INTO vesu_shadow.progress (block_number, last_reorg, fold_version)
SELECT $1, COALESCE((SELECT max(id) FROM reorgs), 0), $2;

-- name: progress
-- Where the shadow stands, and the deepest reorganisation that it has not seen.
SELECT p.block_number, p.fold_version,
    (SELECT min(ancestor_number) FROM reorgs WHERE id > p.last_reorg) AS ancestor_number,
    (SELECT max(id) FROM reorgs) AS newest_reorg
FROM vesu_shadow.progress p;

-- name: move
-- Move the shadow's cursor.
UPDATE vesu_shadow.progress SET block_number = $1;

-- name: take_back
-- Move the shadow's cursor back behind reorganisations.
UPDATE vesu_shadow.progress SET block_number = LEAST(block_number, $1), last_reorg = $2;

-- name: lock_cursor
-- Hold the writer back while the shadow is swapped in; tells the committed block.
SELECT block_number FROM cursor FOR UPDATE;

-- name: replaced
-- Tell the writer that the projections were replaced under it.
UPDATE cursor SET generation = generation + 1, fold_version = $1;

-- name: columns
-- The columns of a table, in order.
SELECT attname
FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
ORDER BY attnum;

-- name: drop
-- Remove the shadow.
DROP SCHEMA IF EXISTS vesu_shadow CASCADE;
