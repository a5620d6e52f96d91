-- name: interest
-- What debtors of each asset owed anew between two times ($1, $2), above block $4 up to block $3, in
-- raw units x 10^36: nominal debt times the growth of the accumulator, from version to version. The
-- ends are the caller's: rows at $1 and $2 with the accumulators accrued to them.
WITH versions AS (
    SELECT pool_id, id, total_nominal_debt, last_rate_accumulator, fee_rate, scale,
        lead(last_rate_accumulator) OVER place AS next_accumulator
    FROM vesu_asset_history
    WHERE block_number > $4 AND block_number <= $3 AND changed_at > $1 AND changed_at <= $2
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
-- The first and the last version of each asset between two times ($1, $2), above block $4 up to
-- block $3.
SELECT DISTINCT ON (pool_id, id) pool_id, id::text, last_rate_accumulator::text AS first_accumulator,
    last_value(last_rate_accumulator) OVER whole AS last_accumulator,
    last_value(total_nominal_debt) OVER whole AS last_debt,
    last_value(fee_rate) OVER whole AS last_fee_rate
FROM vesu_asset_history
WHERE block_number > $4 AND block_number <= $3 AND changed_at > $1 AND changed_at <= $2
WINDOW whole AS (
    PARTITION BY pool_id, id ORDER BY block_number, transaction_index, event_index
    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
)
ORDER BY pool_id, id, block_number, transaction_index, event_index;

-- name: leaderboard
-- Liquidators up to block $1 between two times ($2, $3), by what they repaid in USD in listed
-- pools; $4 of them.
WITH valued AS (
    SELECT l.liquidator_address, l.user_id, l.timestamp, p.is_listed,
        trunc(l.debt_repaid_raw * l.debt_price / d.scale) AS repaid,
        trunc(l.collateral_seized_raw * l.collateral_price / c.scale) AS seized,
        trunc(l.bad_debt_raw * l.debt_price / d.scale) AS bad_debt
    FROM vesu_liquidations l
    JOIN vesu_positions p ON p.pool_id = l.pool_id AND p.id = l.position_id
    JOIN vesu_assets c ON c.pool_id = p.pool_id AND c.pool_address = p.pool_address
        AND c.asset_address = p.collateral_address
    JOIN vesu_assets d ON d.pool_id = p.pool_id AND d.pool_address = p.pool_address
        AND d.asset_address = p.debt_address
    WHERE l.block_number <= $1 AND l.timestamp > $2 AND l.timestamp <= $3
)
SELECT liquidator_address,
    count(*) FILTER (WHERE is_listed) AS liquidations,
    count(DISTINCT user_id) FILTER (WHERE is_listed) AS users_liquidated,
    coalesce(sum(repaid) FILTER (WHERE is_listed), 0)::text AS repaid,
    coalesce(sum(seized) FILTER (WHERE is_listed), 0)::text AS seized,
    coalesce(sum(bad_debt) FILTER (WHERE is_listed), 0)::text AS bad_debt,
    count(*) FILTER (WHERE NOT is_listed) AS unlisted_liquidations,
    count(DISTINCT user_id) FILTER (WHERE NOT is_listed) AS unlisted_users_liquidated,
    coalesce(sum(repaid) FILTER (WHERE NOT is_listed), 0)::text AS unlisted_repaid,
    coalesce(sum(seized) FILTER (WHERE NOT is_listed), 0)::text AS unlisted_seized,
    coalesce(sum(bad_debt) FILTER (WHERE NOT is_listed), 0)::text AS unlisted_bad_debt,
    min(timestamp) AS first_at, max(timestamp) AS last_at
FROM valued
GROUP BY liquidator_address
ORDER BY coalesce(sum(repaid) FILTER (WHERE is_listed), 0) DESC, liquidator_address
LIMIT $4;

-- name: bad_debt
-- Bad debt that liquidations left behind, up to a block, by pool and asset.
SELECT l.pool_id, p.is_listed, p.debt_address, min(l.debt_asset) AS debt_asset,
    count(*) AS liquidations,
    sum(l.bad_debt_raw)::text AS bad_debt_raw, sum(l.bad_debt)::text AS bad_debt,
    sum(trunc(l.bad_debt_raw * l.debt_price / d.scale))::text AS bad_debt_value
FROM vesu_liquidations l
JOIN vesu_positions p ON p.pool_id = l.pool_id AND p.id = l.position_id
JOIN vesu_assets d ON d.pool_id = p.pool_id AND d.pool_address = p.pool_address
    AND d.asset_address = p.debt_address
WHERE l.block_number <= $1 AND l.bad_debt_raw > 0
GROUP BY l.pool_id, p.is_listed, p.debt_address
ORDER BY l.pool_id, p.debt_address;
