-- name: range_of
-- How the events of a block are known to be complete; none where nobody looked.
SELECT method, verified_at
FROM verified_ranges
WHERE first_block <= $1 AND last_block >= $1
    AND watch_list IS NOT DISTINCT FROM (SELECT digest FROM watch_list_version);
