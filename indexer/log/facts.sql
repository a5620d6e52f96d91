-- name: batch_end
-- The last block of a batch of about so many events; NULL where the rest is smaller.
SELECT block_number
FROM event_log
WHERE block_number BETWEEN $1 AND $2
ORDER BY block_number, transaction_index, event_index
OFFSET $3
LIMIT 1;

-- name: count_between
-- How many events the log holds from block to block.
SELECT count(*) FROM event_log WHERE block_number BETWEEN $1 AND $2;

-- name: read
-- Raw events from block to block in chain order. A block that is not stored has no hash.
SELECT l.block_number, l.transaction_index, l.event_index, COALESCE(b.hash, '0x') AS block_hash,
    l.transaction_hash, COALESCE(m.address, '0x') AS from_address, l.keys, l.data,
    l.emitter, l.decoded_as
FROM event_log l
LEFT JOIN blocks b ON b.number = l.block_number
LEFT JOIN event_emitters m ON m.id = l.emitter
WHERE l.block_number BETWEEN $1 AND $2
ORDER BY l.block_number, l.transaction_index, l.event_index;

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

-- name: complete_blocks
-- Add to blocks that were known by their events alone what their headers say.
UPDATE blocks b
SET parent_hash = d.parent_hash, finality = d.finality,
    event_count = d.event_count, event_commitment = d.event_commitment
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::integer[], $5::text[])
    AS d (number, parent_hash, finality, event_count, event_commitment)
WHERE b.number = d.number AND b.parent_hash IS NULL;

-- name: add_receipts
-- Add receipts of transactions with stored events; those that are there stay. Returns the added.
INSERT INTO receipts (block_number, transaction_index, transaction_hash, actual_fee, fee_unit)
SELECT d.block_number, d.transaction_index, d.transaction_hash, d.actual_fee, d.fee_unit
FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::numeric[], $5::text[])
    AS d (block_number, transaction_index, transaction_hash, actual_fee, fee_unit)
ON CONFLICT DO NOTHING
RETURNING block_number, transaction_index;

-- name: newest_with_events
-- The newest blocks of a range that hold events, at most so many.
SELECT DISTINCT block_number
FROM event_log
WHERE block_number BETWEEN $1 AND $2
ORDER BY block_number DESC
LIMIT $3;
