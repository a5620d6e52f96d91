-- name: around
-- The last stored block before a time, and the first one at or after it.
SELECT
    (SELECT number FROM blocks WHERE timestamp < $1 ORDER BY timestamp DESC, number DESC LIMIT 1)
        AS last,
    (SELECT number FROM blocks WHERE timestamp >= $1 ORDER BY timestamp, number LIMIT 1) AS first;

-- name: hash
-- The hash of a stored block.
SELECT hash FROM blocks WHERE number = $1;

-- name: first_time_with_assets
-- The time of the first block whose events told of an asset.
SELECT changed_at FROM vesu_asset_history ORDER BY block_number LIMIT 1;
