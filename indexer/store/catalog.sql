-- name: relations
-- Everything of the schema that holds rows or a name: kind r is a table, p a partitioned one, v a
-- view, m a materialised one, S a sequence, f a foreign table.
SELECT relname AS name, relkind::text AS kind
FROM pg_class
WHERE relnamespace = to_regnamespace(current_schema())::oid
    AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
ORDER BY relname;

-- name: sizes
-- The bytes of each table of the schema, without its indexes.
SELECT relname AS name, pg_table_size(oid) AS bytes
FROM pg_class
WHERE relnamespace = to_regnamespace(current_schema())::oid AND relkind IN ('r', 'p');

-- name: schema
-- The schema in which tables are made and found.
SELECT current_schema();

-- name: export_snapshot
-- A name by which another session sees what this transaction sees.
SELECT pg_export_snapshot();
