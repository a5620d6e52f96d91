-- name: counting_since
-- Since when the statistics count; none where they were never reset.
SELECT stats_reset FROM pg_stat_database WHERE datname = current_database();

-- name: long_transactions
-- Transactions older than so many seconds: while they are open, no vacuum removes a newer dead row.
SELECT pid::text AS name, usename::text AS role, application_name AS application, state,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'
    AND xact_start < clock_timestamp() - make_interval(secs => $1)
UNION ALL
SELECT gid, owner::text, '', 'prepared', extract(epoch FROM clock_timestamp() - prepared)::float8
FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < clock_timestamp() - make_interval(secs => $1)
ORDER BY 5 DESC;
