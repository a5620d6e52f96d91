-- name: try
-- Take the writer's lock if it is free.
SELECT pg_try_advisory_lock($1::bigint);

-- name: holder
-- Who holds the writer's lock.
SELECT a.pid, a.client_addr::text, a.backend_start
FROM pg_locks l
JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted
    AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
LIMIT 1;
