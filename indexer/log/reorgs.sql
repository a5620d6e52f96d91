-- name: open
-- Begin the row of a reorganisation.
INSERT INTO reorgs
    (ancestor_number, ancestor_hash, old_number, old_hash, new_number, new_hash, depth,
     events_orphaned, rows_restored, seconds, cause)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, $8)
RETURNING id;

-- name: close
-- Complete the row with what the reorganisation took.
UPDATE reorgs SET events_orphaned = $2, rows_restored = $3, seconds = $4 WHERE id = $1;

-- name: extent
-- What a rollback to a block would take back.
SELECT
    (SELECT count(*) FROM blocks WHERE number > $1) AS blocks,
    (SELECT count(*) FROM event_log WHERE block_number > $1) AS events;

-- name: ladder
-- Number and hash of stored blocks from a height down, highest first.
SELECT number, hash FROM blocks WHERE number <= $1 ORDER BY number DESC LIMIT $2;

-- name: next_rung
-- Number and hash of the lowest stored block above a height.
SELECT number, hash FROM blocks WHERE number > $1 ORDER BY number LIMIT 1;

-- name: orphan_events
-- Move the events above a block to the audit table.
WITH gone AS (
    DELETE FROM event_log WHERE block_number > $2
)
INSERT INTO orphaned_events
    (reorg_id, block_number, transaction_index, event_index, block_hash, transaction_hash,
     from_address, keys, data)
SELECT $1, block_number, transaction_index, event_index, block_hash, transaction_hash,
    from_address, keys, data
FROM events
WHERE block_number > $2;

-- name: drop_receipts
-- Forget the receipts above a block.
DELETE FROM receipts WHERE block_number > $1;

-- name: drop_blocks
-- Forget the blocks above a block.
DELETE FROM blocks WHERE number > $1;

-- name: orphan_observations
-- Move the answers above a block to the audit table.
WITH gone AS (
    DELETE FROM observations WHERE block_number > $2 RETURNING *
)
INSERT INTO orphaned_observations
    (reorg_id, block_number, contract, view, calldata, block_hash, result, error)
SELECT $1, block_number, contract, view, calldata, block_hash, result, error FROM gone;
