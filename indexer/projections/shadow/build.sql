-- name: lock
-- Hold the right to build the shadow; waits for lock_timeout at most.
SELECT pg_advisory_lock($1::bigint);

-- name: left_at
-- The block that a shadow stands at.
SELECT block_number FROM vesu_shadow.progress;

-- name: unlock
-- Let go of the right to build the shadow.
SELECT pg_advisory_unlock($1::bigint);

-- name: may_create
-- Whether this role may make the shadow's schema.
SELECT has_database_privilege(current_database(), 'CREATE');

-- name: schema_exists
-- Whether the shadow's schema is there, whoever made it.
SELECT to_regnamespace('vesu_shadow') IS NOT NULL;

-- name: exists
-- Whether a shadow is there, finished or left by a kill.
SELECT to_regclass('vesu_shadow.progress') IS NOT NULL;

-- name: drop
-- Remove the shadow.
DROP SCHEMA IF EXISTS vesu_shadow CASCADE;

-- name: create_schema
-- An empty place for the shadow.
CREATE SCHEMA vesu_shadow;

-- name: create_progress
-- The shadow's own cursor, and for which block and snapshot its rows were compared.
CREATE UNLOGGED TABLE vesu_shadow.progress (
    from_block bigint NOT NULL,
    block_number bigint NOT NULL,
    last_reorg bigint NOT NULL,
    made_by text NOT NULL,
    compared_block bigint,
    compared_reorg bigint,
    compared_xmin xid8
);

-- name: create_table
-- An empty table like the live one; readers never see it, so it needs the key's index alone.
-- Autovacuum leaves it alone: the ANALYZE before the comparison would wait a second for it.
CREATE UNLOGGED TABLE vesu_shadow.{stored} (
    LIKE {live}.{stored} INCLUDING DEFAULTS INCLUDING GENERATED, PRIMARY KEY ({stored_key})
) WITH (autovacuum_enabled = off);

-- name: view_definition
-- What the view $1 of the live schema selects; tables that the search path finds are named alone.
SELECT pg_get_viewdef($1::text::regclass);

-- name: create_block_index
-- What is appended is compared, swapped and taken back by block.
CREATE INDEX ON vesu_shadow.{stored} (block_number);

-- name: create_version_index
-- The current row of a version is looked up by the versions' own key.
CREATE INDEX ON vesu_shadow.{name} ({version_key});

-- name: begin_progress
-- The shadow's cursor before its first batch.
INSERT INTO vesu_shadow.progress (from_block, block_number, last_reorg, made_by)
SELECT $1::bigint, $1::bigint - 1, COALESCE((SELECT max(id) FROM reorgs), 0), $2;

-- name: progress
-- Where the shadow stands, and the deepest reorganisation that it has not seen.
SELECT p.from_block, p.block_number, p.made_by, p.last_reorg, p.compared_reorg, p.compared_block,
    (SELECT min(ancestor_number) FROM reorgs WHERE id > p.last_reorg) AS ancestor_number,
    (SELECT max(id) FROM reorgs) AS newest_reorg
FROM vesu_shadow.progress p;

-- name: is_reorganised
-- Whether the log holds another branch than the shadow.
SELECT EXISTS (SELECT FROM reorgs r JOIN vesu_shadow.progress p ON r.id > p.last_reorg);

-- name: move
-- Move the shadow's cursor.
UPDATE vesu_shadow.progress SET block_number = $1;

-- name: take_back
-- Move the shadow's cursor back behind reorganisations.
UPDATE vesu_shadow.progress SET block_number = LEAST(block_number, $1), last_reorg = $2;

-- name: is_alike
-- Whether a table of the shadow still has the live one's columns.
SELECT NOT EXISTS (
    (SELECT attname, atttypid, atttypmod FROM pg_attribute
     WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
     EXCEPT
     SELECT attname, atttypid, atttypmod FROM pg_attribute
     WHERE attrelid = to_regclass($2::text) AND attnum > 0 AND NOT attisdropped)
    UNION ALL
    (SELECT attname, atttypid, atttypmod FROM pg_attribute
     WHERE attrelid = to_regclass($2::text) AND attnum > 0 AND NOT attisdropped
     EXCEPT
     SELECT attname, atttypid, atttypmod FROM pg_attribute
     WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped)
);

-- name: copy_current
-- Begin with the live rows of a table.
INSERT INTO vesu_shadow.{name} ({columns}) SELECT {columns} FROM {live}.{name};

-- name: bring_settings
-- The live settings, which the live versions that are brought over refer to.
INSERT INTO vesu_shadow.{name} ({columns}) SELECT {columns} FROM {live}.{name}
ON CONFLICT ({key}) DO NOTHING;

-- name: create_touched
-- Room for the keys of the rows that changed in or after the first block.
CREATE UNLOGGED TABLE vesu_shadow.touched_{history} AS
SELECT 0::bigint AS n, {row_key} FROM {live}.{history} WITH NO DATA;

-- name: find_touched
-- Number the rows that changed in or after a block.
INSERT INTO vesu_shadow.touched_{history} (n, {row_key})
SELECT row_number() OVER (), changed.*
FROM (SELECT DISTINCT {row_key} FROM {live}.{history} WHERE block_number >= $1) AS changed;

-- name: count_touched
-- How many rows changed.
SELECT count(*) FROM vesu_shadow.touched_{history};

-- name: bring_versions
-- Of the touched rows $2 to $3 a version of block $1 or later, and the last one before it.
INSERT INTO vesu_shadow.{stored} ({stored_columns})
SELECT {v_stored_columns}
FROM vesu_shadow.touched_{history} t
CROSS JOIN LATERAL (
    (SELECT h.* FROM {live}.{stored} h
     WHERE ({h_stored_row_key}) = ({t_stored_row_key}) AND h.block_number >= $1
     LIMIT 1)
    UNION ALL
    (SELECT h.* FROM {live}.{stored} h
     WHERE ({h_stored_row_key}) = ({t_stored_row_key}) AND h.block_number < $1
     ORDER BY h.block_number DESC, h.transaction_index DESC, h.event_index DESC
     LIMIT 1)
) AS v
WHERE t.n BETWEEN $2 AND $3;

-- name: drop_touched
-- The keys of the touched rows have done their work.
DROP TABLE vesu_shadow.touched_{history};

-- name: drop_versions
-- So have their versions.
TRUNCATE vesu_shadow.{stored};

-- name: bring_foundation
-- The last version before block $1 of each row that the shadow changed above block $2.
INSERT INTO vesu_shadow.{stored} ({stored_columns})
SELECT DISTINCT ON ({h_stored_row_key}) {h_stored_columns}
FROM {live}.{stored} h
JOIN (SELECT DISTINCT {stored_row_key} FROM vesu_shadow.{stored} WHERE block_number > $2) AS t
    USING ({stored_row_key})
WHERE h.block_number < $1
ORDER BY {h_stored_row_key}, h.block_number DESC, h.transaction_index DESC, h.event_index DESC;

-- name: drop_foundation
-- Take the versions before the first block out again.
DELETE FROM vesu_shadow.{stored} WHERE block_number < $1;

-- name: small_samples
-- Plans need to know how large a shadow's tables are, and little of what is in them.
SET default_statistics_target = 10;

-- name: usual_samples
-- Look at as many rows as usual again.
RESET default_statistics_target;

-- name: analyze
-- Statistics of a table that was just filled: plans must not take it for empty.
ANALYZE vesu_shadow.{stored};

-- name: is_out_of_date
-- Whether the table $1 has no statistics, or more changed since they were gathered than it had.
-- Without them tables are joined row by row, and the check of each position that a swap deletes
-- reads all rows of its pool.
SELECT c.reltuples < 0 OR pg_stat_get_mod_since_analyze(c.oid) > c.reltuples
FROM pg_class c
WHERE c.oid = $1::text::regclass;

-- name: block_at
-- The highest stored block up to a number.
SELECT number, timestamp FROM blocks WHERE number <= $1 ORDER BY number DESC LIMIT 1;
