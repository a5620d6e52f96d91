-- name: blocks_at
-- The last stored block up to each of some times ($1), none above block $2.
SELECT g.time, b.number, b.hash, b.timestamp
FROM unnest($1::timestamptz[]) AS g (time)
CROSS JOIN LATERAL (
    SELECT number, hash, timestamp
    FROM blocks
    WHERE timestamp <= g.time AND number <= $2
    ORDER BY timestamp DESC, number DESC
    LIMIT 1
) b
ORDER BY g.time;

-- name: changes_of_position
-- Blocks in which a position or one of its markets changed, up to block $3, after time $4.
SELECT b.timestamp AS time, b.number, b.hash, b.timestamp
FROM (
    SELECT DISTINCT block_number FROM vesu_position_history
    WHERE pool_id = $1 AND id = $2::uuid AND block_number <= $3
) h
JOIN blocks b ON b.number = h.block_number
WHERE b.timestamp > $4
ORDER BY b.number
LIMIT $5;

-- name: changes_of_asset
-- Blocks in which an asset changed, up to block $3, after time $4.
SELECT b.timestamp AS time, b.number, b.hash, b.timestamp
FROM (
    SELECT DISTINCT block_number FROM vesu_asset_history
    WHERE pool_id = $1 AND id = $2::uuid AND block_number <= $3
) h
JOIN blocks b ON b.number = h.block_number
WHERE b.timestamp > $4
ORDER BY b.number
LIMIT $5;

-- name: changes_of_pool
-- Blocks in which an asset of a pool changed, up to block $3, after time $4; $2 is not used.
SELECT b.timestamp AS time, b.number, b.hash, b.timestamp
FROM (
    SELECT DISTINCT block_number FROM vesu_asset_history
    WHERE pool_id = $1 AND $2::uuid IS NULL AND block_number <= $3
) h
JOIN blocks b ON b.number = h.block_number
WHERE b.timestamp > $4
ORDER BY b.number
LIMIT $5;

-- name: changes_of_user
-- Blocks in which a position of a user ($2) changed, up to block $3, after time $4; $1 is not used.
SELECT b.timestamp AS time, b.number, b.hash, b.timestamp
FROM (
    SELECT DISTINCT h.block_number
    FROM vesu_positions p
    JOIN vesu_position_history h ON h.pool_id = p.pool_id AND h.id = p.id
    WHERE $1::text IS NOT NULL AND p.user_id = $2::text AND h.block_number <= $3
) h
JOIN blocks b ON b.number = h.block_number
WHERE b.timestamp > $4
ORDER BY b.number
LIMIT $5;

-- name: pool_of_position
-- The pool of a position.
SELECT pool_id FROM vesu_positions WHERE id = $1::uuid;
