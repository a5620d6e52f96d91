-- name: block
-- The highest stored block up to a number, and the committed one.
SELECT b.number, b.hash, b.timestamp, c.block_number AS committed
FROM cursor c
JOIN blocks b ON b.number <= LEAST(COALESCE($1::bigint, c.block_number), c.block_number)
ORDER BY b.number DESC
LIMIT 1;

-- name: position
-- The newest version of a position up to a block.
SELECT *
FROM vesu_position_history
WHERE pool_id = $1 AND id = $2 AND block_number <= $3
ORDER BY block_number DESC, transaction_index DESC, event_index DESC
LIMIT 1;

-- name: assets
-- The newest versions of assets of a pool up to a block.
SELECT DISTINCT ON (asset_address) *
FROM vesu_asset_history
WHERE pool_id = $1 AND asset_address = ANY ($2::text[]) AND block_number <= $3
ORDER BY asset_address, block_number DESC, transaction_index DESC, event_index DESC;

-- name: pair
-- The newest version of a pair up to a block.
SELECT *
FROM vesu_pool_history
WHERE pool_id = $1 AND id = $2 AND block_number <= $3
ORDER BY block_number DESC, transaction_index DESC, event_index DESC
LIMIT 1;
