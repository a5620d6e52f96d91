-- name: blocks_at
-- The last stored block up to each of these times; without the times before the first block.
SELECT t.at, b.number
FROM unnest($1::timestamptz[]) t(at)
CROSS JOIN LATERAL (
    SELECT number
    FROM blocks
    WHERE timestamp <= t.at AND number <= $2
    ORDER BY timestamp DESC, number DESC
    LIMIT 1
) b;

-- name: positions
-- The rows of one position: two where V1.1 took over what V1.0 held.
SELECT id, pool_address, is_listed
FROM vesu_positions
WHERE pool_id = $1 AND user_id = $2 AND collateral_address = $3
    AND COALESCE(debt_address, '') = COALESCE($4::text, '')
    AND COALESCE(v_token, '') = COALESCE($5::text, '');

-- name: positions_at
-- The newest versions of a position's rows up to each of these blocks.
SELECT t.block AS at_block, h.*
FROM unnest($3::bigint[]) t(block)
CROSS JOIN unnest($2::uuid[]) p(id)
CROSS JOIN LATERAL (
    SELECT *
    FROM vesu_position_history v
    WHERE v.pool_id = $1 AND v.id = p.id AND v.block_number <= t.block
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h;

-- name: assets_at
-- The newest versions of a pool's assets (of each of its contracts) up to each of these blocks.
SELECT t.block AS at_block, h.*
FROM unnest($3::bigint[]) t(block)
CROSS JOIN vesu_assets c
CROSS JOIN LATERAL (
    SELECT *
    FROM vesu_asset_history v
    WHERE v.pool_id = c.pool_id AND v.id = c.id AND v.block_number <= t.block
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h
WHERE c.pool_id = $1 AND c.asset_address = ANY ($2::text[]);

-- name: flows
-- What moved in a position's rows after one block and up to another, in the chain's order, each with
-- the state of its asset ($5: of the collateral, for amounts of vTokens) at that event.
SELECT t.block_number AS flow_block, t.transaction_index AS flow_transaction,
    t.event_index AS flow_event, t.timestamp AS flow_time, t.type, t.asset_address AS flow_asset,
    t.amount_raw, h.*
FROM vesu_transactions t
JOIN vesu_positions p ON p.pool_id = t.pool_id AND p.id = t.position_id
LEFT JOIN vesu_assets c ON c.pool_id = t.pool_id AND c.pool_address = p.pool_address
    AND c.asset_address = CASE WHEN t.asset_address = p.v_token THEN $5 ELSE t.asset_address END
LEFT JOIN LATERAL (
    SELECT *
    FROM vesu_asset_history v
    WHERE v.pool_id = c.pool_id AND v.id = c.id
        AND (v.block_number, v.transaction_index, v.event_index)
            <= (t.block_number, t.transaction_index, t.event_index)
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h ON true
WHERE t.pool_id = $1 AND t.position_id = ANY ($2::uuid[])
    AND t.block_number > $3 AND t.block_number <= $4
ORDER BY t.block_number, t.transaction_index, t.event_index, t.leg;
