-- name: try
-- Take the writer's lock if it is free.
SELECT pg_try_advisory_lock($1::bigint);

-- name: keep_alive
-- Let go of the lock of a host that vanished after a minute, not after hours.
SELECT set_config('tcp_keepalives_idle', '30', false),
    set_config('tcp_keepalives_interval', '10', false),
    set_config('tcp_keepalives_count', '3', false);

-- name: held
-- Whether this session holds the writer's lock.
SELECT EXISTS (
    SELECT
    FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
        AND (classid::bigint << 32 | objid::bigint) = $1::bigint
        AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
);

-- name: holder
-- Who holds the writer's lock; of another role's session only its process is told.
SELECT l.pid, a.application_name, a.client_addr::text, a.backend_start
FROM pg_locks l
LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted
    AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
    AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
LIMIT 1;

-- name: limit_idle
-- How long a transaction may stand idle before the server ends it; true: this transaction alone.
SELECT set_config('idle_in_transaction_session_timeout', $1, $2);
