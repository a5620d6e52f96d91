-- name: relations
-- The tables and views of the schema, without the migrations' own; kind r is a table, v a view.
SELECT c.relname AS name, c.relkind::text AS kind
FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema()))::oid
    AND c.relkind IN ('r', 'p', 'v', 'm')
    AND c.relname NOT LIKE '\_yoyo\_%' AND c.relname <> 'yoyo_lock'
ORDER BY c.relname;

-- name: columns
-- The columns of a table in order: type as declared, category (A array, N number …), and whether
-- they have a collation.
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
    t.typcategory::text AS category, a.attcollation <> 0 AS is_collated
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass(quote_ident(current_schema()) || '.' || quote_ident($1))
    AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: primary_key
-- The columns of a table's primary key, in the key's order.
SELECT a.attname AS name
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indisprimary
    AND i.indrelid = to_regclass(quote_ident(current_schema()) || '.' || quote_ident($1))
ORDER BY k.place;

-- name: stands
-- What a snapshot of the database is true for.
SELECT chain_id, block_number, block_hash, block_timestamp, fork_counter, fold_version
FROM cursor
WHERE block_hash IS NOT NULL;

-- name: block
-- The highest stored block up to a number, and the committed one.
SELECT b.number, b.hash, b.timestamp, c.block_number AS committed
FROM cursor c
CROSS JOIN LATERAL (
    SELECT *
    FROM blocks
    WHERE number <= LEAST(COALESCE($1::bigint, c.block_number), c.block_number)
    ORDER BY number DESC
    LIMIT 1
) b;
