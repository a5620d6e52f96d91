-- name: expired
-- Reorganisations older than so many days, and what is kept of the branches that they abandoned.
SELECT r.id,
    (SELECT count(*) FROM orphaned_events e WHERE e.reorg_id = r.id) AS events,
    (SELECT count(*) FROM orphaned_observations o WHERE o.reorg_id = r.id) AS observations
FROM reorgs r
WHERE r.detected_at < clock_timestamp() - make_interval(days => LEAST($1::bigint, 36500)::integer)
ORDER BY r.id;

-- name: drop_events
-- Delete the events of an abandoned branch.
DELETE FROM orphaned_events WHERE reorg_id = $1;

-- name: drop_observations
-- Delete the observations of an abandoned branch.
DELETE FROM orphaned_observations WHERE reorg_id = $1;

-- name: drop_reorg
-- Delete a reorganisation of which nothing else is kept.
DELETE FROM reorgs WHERE id = $1;
