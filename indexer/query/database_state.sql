-- name: stands
-- Where the database stands; one row, none before the first run.
SELECT c.chain_id, c.start_block, c.block_number, c.block_hash, c.block_timestamp, c.fork_counter,
    c.generation, h.finalised_block, h.suspect_reason IS NOT NULL AS is_suspect,
    extract(epoch FROM clock_timestamp() - c.block_timestamp)::double precision AS age_seconds,
    COALESCE((SELECT max(number) FROM price_samplings), 0) AS sampling, b.number AS stored_number,
    b.hash AS stored_hash, b.timestamp AS stored_time
FROM cursor c
LEFT JOIN chain_head h ON true
LEFT JOIN LATERAL (
    SELECT *
    FROM blocks
    WHERE number <= c.block_number
    ORDER BY number DESC
    LIMIT 1
) b ON true;

-- name: committed
-- The committed block alone: what a wait looks at.
SELECT block_number FROM cursor WHERE block_hash IS NOT NULL;

-- name: block_of_hash
-- The stored block with a hash.
SELECT number FROM blocks WHERE hash = $1;

-- name: abandoned
-- The height of a block that the chain gave up, as far as what it held was kept.
SELECT block_number FROM orphaned_events WHERE block_hash = $1
UNION ALL
SELECT block_number FROM orphaned_observations WHERE block_hash = $1
UNION ALL
SELECT old_number FROM reorgs WHERE old_hash = $1
LIMIT 1;

-- name: stored_hash
-- The hash of the stored block at a height.
SELECT hash FROM blocks WHERE number = $1;

-- name: stands_at
-- The hash of the block whose state holds at a height: of the last stored one up to it.
SELECT hash FROM blocks WHERE number <= $1 ORDER BY number DESC LIMIT 1;

-- name: deepest_since
-- Of the rollbacks beyond the first $1: how many are known, and the lowest common ancestor.
SELECT count(*) AS known, min(ancestor_number) AS ancestor
FROM (SELECT ancestor_number FROM reorgs ORDER BY id DESC LIMIT $1) AS since;
