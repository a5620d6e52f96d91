-- name: pools
-- Pairs, those of listed pools first.
SELECT name, protocol, collateral_asset, debt_asset, max_ltv, pair_collateral, pair_debt,
    total_supply, total_borrow, utilization, supply_apy, borrow_apy, is_active, is_listed,
    pool_address
FROM vesu_pools
ORDER BY is_listed DESC, pair_nominal_debt > 0 DESC, name, collateral_asset, debt_asset
LIMIT $1;

-- name: at_risk
-- Active positions with debt in listed pools, the lowest health factor first.
SELECT user_id, pool_address, collateral_asset, debt_asset, collateral_amount, debt_amount,
    collateral_value_usd, debt_value_usd, ltv, health_factor, liquidation_price, valued_at
FROM vesu_positions
WHERE status = 'active' AND health_factor IS NOT NULL AND is_listed
ORDER BY health_factor, id
LIMIT $1;

-- name: counts
-- How many rows each of these tables has in all.
SELECT (SELECT count(*) FROM vesu_pools) AS pools,
    (SELECT count(*) FROM vesu_positions
     WHERE status = 'active' AND health_factor IS NOT NULL AND is_listed) AS at_risk,
    (SELECT count(*) FROM vesu_positions
     WHERE status = 'active' AND health_factor IS NOT NULL AND NOT is_listed)
        AS at_risk_unlisted,
    (SELECT count(*) FROM vesu_transactions) AS transactions,
    (SELECT count(*) FROM vesu_liquidations) AS liquidations;

-- name: transactions
-- Effects on positions, newest first.
SELECT t.block_number, t.timestamp, t.type, t.amount, t.amount_raw::text AS amount_raw, t.asset,
    t.asset_address, t.user_id, t.pool_id, p.pool_name, t.position_id, t.transaction_hash,
    t.transaction_index, t.event_index, t.leg, t.status
FROM vesu_transactions t
LEFT JOIN LATERAL (
    SELECT max(name) AS pool_name FROM vesu_pools WHERE vesu_pools.pool_id = t.pool_id
) p ON true
WHERE ($1::text IS NULL OR t.pool_id = $1)
    AND ($2::text IS NULL OR t.user_id = $2)
    AND ($3::text[] IS NULL OR t.asset_address = ANY ($3))
    AND ($4::text[] IS NULL OR t.type = ANY ($4))
    AND ($5::text IS NULL OR t.transaction_hash = $5)
    AND ($6::bigint IS NULL OR t.block_number >= $6)
    AND ($7::bigint IS NULL OR t.block_number <= $7)
ORDER BY t.block_number DESC, t.transaction_index DESC, t.event_index DESC, t.leg DESC
LIMIT $8;

-- name: liquidations
-- Liquidations, newest first.
SELECT l.block_number, l.timestamp, l.user_id, l.liquidator_address, l.collateral_seized,
    l.collateral_seized_raw::text AS collateral_seized_raw, l.collateral_asset, l.debt_repaid,
    l.debt_repaid_raw::text AS debt_repaid_raw, l.debt_asset, l.bad_debt,
    l.bad_debt_raw::text AS bad_debt_raw, l.liquidation_bonus, l.pool_id, p.pool_name,
    l.position_id, l.transaction_hash, l.transaction_index, l.event_index
FROM vesu_liquidations l
LEFT JOIN LATERAL (
    SELECT max(name) AS pool_name FROM vesu_pools WHERE vesu_pools.pool_id = l.pool_id
) p ON true
WHERE ($1::text IS NULL OR l.pool_id = $1)
    AND ($2::text IS NULL OR l.user_id = $2)
    AND ($3::text IS NULL OR l.liquidator_address = $3)
    AND ($4::text IS NULL OR l.transaction_hash = $4)
    AND ($5::bigint IS NULL OR l.block_number >= $5)
    AND ($6::bigint IS NULL OR l.block_number <= $6)
ORDER BY l.block_number DESC, l.transaction_index DESC, l.event_index DESC
LIMIT $7;

-- name: events
-- The raw log, decoded, newest first. Arguments are made of a pool's felts alone: a felt that is not
-- among the bytes of an event is not its pool_id.
SELECT l.block_number, l.transaction_index, l.event_index,
    '0x' || encode(l.transaction_hash, 'hex') AS transaction_hash, m.address AS from_address,
    m.contract, y.name, event_args(l.keys, l.data, y.selectors, y.steps)::text AS args,
    event_felts(l.keys) AS keys, event_felts(l.data) AS data, b.timestamp
FROM event_log l
LEFT JOIN event_emitters m ON m.id = l.emitter
LEFT JOIN event_layouts y ON y.id = l.decoded_as
LEFT JOIN blocks b ON b.number = l.block_number
WHERE ($1::bigint IS NULL OR l.block_number >= $1)
    AND ($2::bigint IS NULL OR l.block_number <= $2)
    AND ($3::text IS NULL OR '0x' || encode(l.transaction_hash, 'hex') = $3)
    AND ($4::text IS NULL OR y.name = $4)
    AND ($5::text[] IS NULL OR m.address = ANY ($5))
    AND ($6::text IS NULL OR m.address = $6
        OR CASE
            WHEN position((SELECT pack_felts(ARRAY[$6])) IN l.keys || l.data) > 0
                THEN event_args(l.keys, l.data, y.selectors, y.steps) ->> 'pool_id' = $6
        END)
ORDER BY l.block_number DESC, l.transaction_index DESC, l.event_index DESC
LIMIT $7;
