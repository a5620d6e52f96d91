-- name: own
-- The server process of this connection and when it began.
SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid();

-- name: is_working
-- Whether a server process runs a statement; one that waits for its client's data does not.
SELECT EXISTS (
    SELECT
    FROM pg_stat_activity
    WHERE pid = $1 AND backend_start = $2
        AND state = 'active' AND wait_event IS DISTINCT FROM 'ClientRead'
);

-- name: end
-- End server processes of our own that a lost connection left behind.
SELECT count(pg_terminate_backend(pid))
FROM pg_stat_activity
JOIN unnest($1::int[], $2::timestamptz[]) AS left_behind (left_pid, started)
    ON pid = left_pid AND backend_start = started
WHERE pid <> pg_backend_pid();

-- name: is_active
-- Whether a server process runs a statement (for psycopg).
SELECT state = 'active' AND wait_event IS DISTINCT FROM 'ClientRead'
FROM pg_stat_activity
WHERE pid = %(pid)s;

-- name: is_known
-- Whether the server has a process (for psycopg).
SELECT pid FROM pg_stat_activity WHERE pid = %(pid)s;
