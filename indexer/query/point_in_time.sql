-- name: block
-- The highest stored block up to a number, and the committed one.
SELECT b.number, b.hash, b.timestamp, c.block_number AS committed
FROM cursor c
CROSS JOIN LATERAL (
    SELECT *
    FROM blocks
    WHERE number <= LEAST(COALESCE($1::bigint, c.block_number), c.block_number)
    ORDER BY number DESC
    LIMIT 1
) b;

-- name: block_by_time
-- The last stored block up to a time, and the committed one.
SELECT b.number, b.hash, b.timestamp, c.block_number AS committed
FROM cursor c
CROSS JOIN LATERAL (
    SELECT *
    FROM blocks
    WHERE timestamp <= $1::timestamptz AND number <= c.block_number
    ORDER BY timestamp DESC, number DESC
    LIMIT 1
) b;

-- name: positions
-- The newest versions up to a block of the positions of a pool and a user (NULL: of all), of
-- listed pools, of the others, or of both (NULL).
SELECT c.pool_id, c.pool_address, c.protocol, c.user_id, c.kind, c.collateral_address,
    c.debt_address, c.v_token, c.created_at, h.*
FROM vesu_positions c
CROSS JOIN LATERAL (
    SELECT *
    FROM position_versions v
    WHERE v.id = c.id AND v.block_number <= $1
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h
WHERE ($2::text IS NULL OR c.pool_id = $2)
    AND ($3::text IS NULL OR c.user_id = $3)
    AND ($4::text IS NULL OR h.status = $4)
    AND ($5::boolean IS NULL OR c.is_listed = $5);

-- name: tokens
-- What the tokens of pools (NULL: of all) call themselves.
SELECT asset_address, symbol, name, decimals
FROM vesu_assets
WHERE $1::text[] IS NULL OR pool_id = ANY ($1::text[]);
