-- name: state_at
-- Current rows of a table as its history has them at a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws('|', {written}), 'UTF8')), 'hex') AS hash
    FROM (
        SELECT DISTINCT ON ({key}) {columns}
        FROM {table}
        WHERE block_number <= $1
        ORDER BY {key}, block_number DESC, transaction_index DESC, event_index DESC
    ) AS latest
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: state_now
-- The same columns of the current rows as they stand.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws('|', {written}), 'UTF8')), 'hex') AS hash
    FROM {table}
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: log_at
-- Rows of a table up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws('|', {written}), 'UTF8')), 'hex') AS hash
    FROM {table}
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;
