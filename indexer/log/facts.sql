-- name: append_block
-- Add a block; one that is there already has the same hash or the log is broken.
INSERT INTO blocks
    (number, hash, parent_hash, timestamp, finality, event_count, event_commitment, verified, seal)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: batch_end
-- The last block of a batch of about so many events; NULL where the rest is smaller.
SELECT block_number
FROM events
WHERE block_number BETWEEN $1 AND $2
ORDER BY block_number, transaction_index, event_index
OFFSET $3
LIMIT 1;

-- name: count_between
-- How many events the log holds from block to block.
SELECT count(*) FROM events WHERE block_number BETWEEN $1 AND $2;

-- name: read
-- Raw events from block to block in chain order.
SELECT block_number, transaction_index, event_index, block_hash, transaction_hash,
    from_address, keys, data
FROM events
WHERE block_number BETWEEN $1 AND $2
ORDER BY block_number, transaction_index, event_index;

-- name: read_times
-- Block times from block to block.
SELECT number, timestamp FROM blocks WHERE number BETWEEN $1 AND $2;

-- name: read_fees
-- Transaction fees from block to block.
SELECT block_number, transaction_index, actual_fee, fee_unit
FROM receipts
WHERE block_number BETWEEN $1 AND $2;

-- name: block_time
-- The time of a stored block.
SELECT timestamp FROM blocks WHERE number = $1;
