-- name: relations
-- Everything of the schema and of vesu_guide that holds rows or a name: kind r is a table, p a
-- partitioned one, v a view, m a materialised one, S a sequence, f a foreign table. `name` is
-- qualified in vesu_guide; `place` is quoted for a statement.
SELECT CASE WHEN n.nspname = 'vesu_guide' THEN 'vesu_guide.' || c.relname ELSE c.relname END AS name,
    c.relkind::text AS kind,
    format('%I.%I', n.nspname, c.relname) AS place
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN (current_schema(), 'vesu_guide') AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
ORDER BY 1;

-- name: make_guide
-- The schema of the guide's views, which pg_restore fills but does not make.
CREATE SCHEMA IF NOT EXISTS vesu_guide;

-- name: open_guide
-- The rights that a migration gives and a dump leaves out: what is written, triggers judge.
DO $$
BEGIN
    IF to_regclass('vesu_guide.users') IS NULL THEN
        DROP SCHEMA vesu_guide;  -- a backup of before there was one
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA vesu_guide TO PUBLIC;
    GRANT SELECT, INSERT, UPDATE, DELETE ON
        vesu_guide.vesu_pools, vesu_guide.vesu_positions, vesu_guide.vesu_transactions,
        vesu_guide.vesu_liquidations, vesu_guide.users TO PUBLIC;
END
$$;

-- name: sizes
-- The bytes of each table of the schema, without its indexes.
SELECT relname AS name, pg_table_size(oid) AS bytes
FROM pg_class
WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))::oid AND relkind IN ('r', 'p');

-- name: schema
-- The schema in which tables are made and found.
SELECT current_schema();

-- name: export_snapshot
-- A name by which another session sees what this transaction sees.
SELECT pg_export_snapshot();
