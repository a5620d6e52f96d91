-- name: rights
-- What the role may do in the schema.
SELECT quote_ident(current_user) AS role, quote_ident(current_schema()) AS schema,
    pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS is_read_only,
    has_schema_privilege(current_schema(), 'CREATE') AS may_create,
    has_table_privilege('cursor', 'UPDATE') AND has_table_privilege('event_log', 'INSERT')
        AS may_write;

-- name: settings
-- Settings that hurt, as sentences with their remedy.
SELECT finding FROM (VALUES
    (current_setting('fsync') = 'off',
        'fsync is off, a crash destroys the database: ALTER SYSTEM SET fsync = on'),
    (current_setting('full_page_writes') = 'off',
        'full_page_writes is off, a crash may destroy pages: ALTER SYSTEM SET full_page_writes = on'),
    (current_setting('autovacuum') = 'off',
        'autovacuum is off, tables bloat: ALTER SYSTEM SET autovacuum = on'),
    (pg_size_bytes(current_setting('shared_buffers')) < 67108864,
        'shared_buffers is below 64 MB: ALTER SYSTEM SET shared_buffers = ''256MB'', and restart'),
    (pg_size_bytes(current_setting('max_wal_size')) < 268435456,
        'max_wal_size is below 256 MB: ALTER SYSTEM SET max_wal_size = ''1GB'''),
    (current_setting('max_connections')::int < 20,
        'max_connections is below 20: ALTER SYSTEM SET max_connections = 100, and restart')
) AS looked (hurts, finding)
WHERE hurts;
