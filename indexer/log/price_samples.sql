-- name: hold
-- The cursor, kept from the writer until the transaction ends; readers are not held up.
SELECT fork_counter, writer_token FROM cursor FOR NO KEY UPDATE;

-- name: open
-- The row of a sampling; returns its number.
INSERT INTO price_samplings
    (number, step_seconds, grid_time, previous_time, block_number, block_hash, asked, answered)
SELECT COALESCE(max(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7
FROM price_samplings
RETURNING number;

-- name: append
-- Add samples from one JSON document; what was sampled of a block stays.
INSERT INTO vesu_sampled_prices
    (pool_id, asset_id, pool_address, protocol, asset_address, block_number, block_hash, timestamp,
     price, is_valid, source, sampling, rate_model)
SELECT pool_id, asset_id, pool_address, protocol, asset_address, block_number, block_hash,
    timestamp, price, is_valid, source, sampling, rate_model
FROM json_populate_recordset(NULL::vesu_sampled_prices, $1::text::json)
ON CONFLICT DO NOTHING;

-- name: answered
-- The assets that were sampled at a block, and how often its answers were stored.
SELECT ARRAY(
        SELECT asset_id FROM vesu_sampled_prices WHERE block_number = $1 AND block_hash = $2
    ) AS ids,
    count(*) AS tries
FROM price_samplings
WHERE block_number = $1 AND block_hash = $2;

-- name: gaps
-- Between two neighbours of a grid: from the point of the older one to the last multiple that the
-- newer one does not stand for.
SELECT before AS after, previous_time / $1 * $1 AS until
FROM (
    SELECT grid_time, min(previous_time) AS previous_time,
        lag(grid_time) OVER (ORDER BY grid_time) AS before
    FROM price_samplings
    WHERE step_seconds = $1
    GROUP BY grid_time
) AS points
WHERE previous_time / $1 * $1 > before
ORDER BY grid_time DESC;

-- name: oldest
-- The first point that was sampled of a grid.
SELECT min(grid_time) FROM price_samplings WHERE step_seconds = $1;

-- name: newest_time
-- The time of the newest block that was sampled.
SELECT timestamp FROM vesu_sampled_prices ORDER BY block_number DESC LIMIT 1;

-- name: drop_samples_above
-- Forget the samples above a block.
DELETE FROM vesu_sampled_prices WHERE block_number > $1;

-- name: drop_samplings_above
-- Forget that blocks above a block were sampled.
DELETE FROM price_samplings WHERE block_number > $1;

-- name: doubt
-- The blocks above a block are read again: they may be others.
UPDATE price_samplings SET is_checked = false WHERE block_number > $1;

-- name: doubted
-- Sampled blocks up to a block that were taken back and are committed again.
SELECT DISTINCT block_number, block_hash
FROM price_samplings
WHERE NOT is_checked AND block_number <= $1
ORDER BY block_number
LIMIT 100;

-- name: trust
-- The chain still has the block.
UPDATE price_samplings SET is_checked = true WHERE block_number = $1 AND block_hash = $2;

-- name: drop_samples_of
-- Forget the samples of a block that the chain left.
DELETE FROM vesu_sampled_prices WHERE block_number = $1 AND block_hash = $2;

-- name: drop_samplings_of
-- Forget that it was sampled.
DELETE FROM price_samplings WHERE block_number = $1 AND block_hash = $2;
