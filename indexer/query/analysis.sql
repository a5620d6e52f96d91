-- name: interest
-- What debtors of each asset owed anew between two times ($1, $2), up to block $3, in raw units
-- x 10^36: nominal debt times the growth of the accumulator, from version to version. The ends are
-- the caller's: rows at $1 and $2 with the accumulators accrued to them.
WITH versions AS (
    SELECT pool_id, id, total_nominal_debt, last_rate_accumulator, fee_rate, scale,
        lead(last_rate_accumulator) OVER place AS next_accumulator
    FROM vesu_asset_history
    WHERE block_number <= $3 AND changed_at > $1 AND changed_at <= $2
    WINDOW place AS (
        PARTITION BY pool_id, id ORDER BY block_number, transaction_index, event_index
    )
)
SELECT pool_id, id::text, scale::text,
    sum(total_nominal_debt * (next_accumulator - last_rate_accumulator))::text AS interest,
    sum(total_nominal_debt * (next_accumulator - last_rate_accumulator) * fee_rate)::text AS fees
FROM versions
WHERE next_accumulator IS NOT NULL
GROUP BY pool_id, id, scale;

-- name: edges
-- The first and the last version of each asset between two times ($1, $2), up to block $3.
SELECT DISTINCT ON (pool_id, id) pool_id, id::text, last_rate_accumulator::text AS first_accumulator,
    last_value(last_rate_accumulator) OVER whole AS last_accumulator,
    last_value(total_nominal_debt) OVER whole AS last_debt,
    last_value(fee_rate) OVER whole AS last_fee_rate
FROM vesu_asset_history
WHERE block_number <= $3 AND changed_at > $1 AND changed_at <= $2
WINDOW whole AS (
    PARTITION BY pool_id, id ORDER BY block_number, transaction_index, event_index
    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
)
ORDER BY pool_id, id, block_number, transaction_index, event_index;

-- name: counts
-- How many users, positions and effects there are up to a block, by generation.
SELECT c.protocol,
    count(*) FILTER (WHERE h.status = 'active' AND c.kind <> 'system') AS active_positions,
    count(*) FILTER (WHERE h.status = 'active' AND h.nominal_debt > 0) AS positions_with_debt,
    count(DISTINCT c.user_id) FILTER (WHERE h.status = 'active' AND c.kind <> 'system') AS users
FROM vesu_positions c
CROSS JOIN LATERAL (
    SELECT status, nominal_debt
    FROM vesu_position_history v
    WHERE v.pool_id = c.pool_id AND v.id = c.id AND v.block_number <= $1
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h
GROUP BY c.protocol
ORDER BY c.protocol;

-- name: effects
-- How many effects of each type there are up to a block.
SELECT type, count(*) AS effects, count(DISTINCT user_id) AS users
FROM vesu_transactions
WHERE block_number <= $1
GROUP BY type
ORDER BY type;

-- name: leaderboard
-- Liquidators up to block $1 between two times ($2, $3), by what they repaid in USD; $4 of them.
SELECT l.liquidator_address, count(*) AS liquidations,
    count(DISTINCT l.user_id) AS users_liquidated,
    sum(trunc(l.debt_repaid_raw * l.debt_price / d.scale))::text AS repaid,
    sum(trunc(l.collateral_seized_raw * l.collateral_price / c.scale))::text AS seized,
    sum(trunc(l.bad_debt_raw * l.debt_price / d.scale))::text AS bad_debt,
    min(l.timestamp) AS first_at, max(l.timestamp) AS last_at
FROM vesu_liquidations l
JOIN vesu_positions p ON p.pool_id = l.pool_id AND p.id = l.position_id
JOIN vesu_assets c ON c.pool_id = p.pool_id AND c.pool_address = p.pool_address
    AND c.asset_address = p.collateral_address
JOIN vesu_assets d ON d.pool_id = p.pool_id AND d.pool_address = p.pool_address
    AND d.asset_address = p.debt_address
WHERE l.block_number <= $1 AND l.timestamp > $2 AND l.timestamp <= $3
GROUP BY l.liquidator_address
ORDER BY sum(trunc(l.debt_repaid_raw * l.debt_price / d.scale)) DESC, l.liquidator_address
LIMIT $4;

-- name: bad_debt
-- Bad debt that liquidations left behind, up to a block, by pool and asset.
SELECT l.pool_id, p.debt_address, min(l.debt_asset) AS debt_asset, count(*) AS liquidations,
    sum(l.bad_debt_raw)::text AS bad_debt_raw, sum(l.bad_debt)::text AS bad_debt,
    sum(trunc(l.bad_debt_raw * l.debt_price / d.scale))::text AS bad_debt_value
FROM vesu_liquidations l
JOIN vesu_positions p ON p.pool_id = l.pool_id AND p.id = l.position_id
JOIN vesu_assets d ON d.pool_id = p.pool_id AND d.pool_address = p.pool_address
    AND d.asset_address = p.debt_address
WHERE l.block_number <= $1 AND l.bad_debt_raw > 0
GROUP BY l.pool_id, p.debt_address
ORDER BY l.pool_id, p.debt_address;
