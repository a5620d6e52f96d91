-- name: expired
-- Reorganisations older than so many days, and what is kept because of them. One whose gaps in the
-- log are not repaired yet is not over, however old it is.
SELECT r.id,
    (SELECT count(*) FROM orphaned_events e WHERE e.reorg_id = r.id) AS orphaned_events,
    (SELECT count(*) FROM orphaned_observations o WHERE o.reorg_id = r.id)
        AS orphaned_observations,
    (SELECT count(*) FROM completeness_gaps g WHERE g.reorg_id = r.id) AS completeness_gaps,
    (SELECT count(*) FROM observation_gaps g WHERE g.reorg_id = r.id) AS observation_gaps
FROM reorgs r
WHERE r.detected_at < clock_timestamp() - make_interval(days => LEAST($1::bigint, 36500)::integer)
    AND NOT EXISTS (
        SELECT FROM completeness_gaps g WHERE g.reorg_id = r.id AND g.repaired_at IS NULL
    )
    AND NOT EXISTS (
        SELECT FROM observation_gaps g WHERE g.reorg_id = r.id AND g.repaired_at IS NULL
    )
ORDER BY r.id;

-- name: drop_events
-- Delete the events of an abandoned branch.
DELETE FROM orphaned_events WHERE reorg_id = $1;

-- name: drop_observations
-- Delete the observations of an abandoned branch.
DELETE FROM orphaned_observations WHERE reorg_id = $1;

-- name: drop_gaps
-- Delete what a repair, done since, found missing.
DELETE FROM completeness_gaps WHERE reorg_id = $1 AND repaired_at IS NOT NULL;

-- name: drop_observation_gaps
-- Delete which answers a repair, done since, found wrong.
DELETE FROM observation_gaps WHERE reorg_id = $1 AND repaired_at IS NOT NULL;

-- name: drop_reorg
-- Delete a reorganisation of which nothing else is kept.
DELETE FROM reorgs WHERE id = $1;
