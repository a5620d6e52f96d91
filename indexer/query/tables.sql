-- name: pools
-- Pairs, the largest debt first.
SELECT name, protocol, collateral_asset, debt_asset, max_ltv, pair_collateral, pair_debt,
    total_supply, total_borrow, utilization, supply_apy, borrow_apy, is_active, pool_address
FROM vesu_pools
ORDER BY pair_nominal_debt > 0 DESC, name, collateral_asset, debt_asset
LIMIT $1;

-- name: at_risk
-- Active positions with debt, the lowest health factor first.
SELECT user_id, pool_address, collateral_asset, debt_asset, collateral_amount, debt_amount,
    collateral_value_usd, debt_value_usd, ltv, health_factor, liquidation_price, valued_at
FROM vesu_positions
WHERE status = 'active' AND health_factor IS NOT NULL
ORDER BY health_factor, id
LIMIT $1;

-- name: transactions
-- The last transactions.
SELECT block_number, timestamp, type, amount, asset, user_id, transaction_hash
FROM vesu_transactions
ORDER BY block_number DESC, transaction_index DESC, event_index DESC, leg DESC
LIMIT $1;

-- name: liquidations
-- The last liquidations.
SELECT block_number, timestamp, user_id, liquidator_address, collateral_seized,
    collateral_asset, debt_repaid, debt_asset, bad_debt, liquidation_bonus, transaction_hash
FROM vesu_liquidations
ORDER BY block_number DESC, transaction_index DESC, event_index DESC
LIMIT $1;

-- name: events
-- The raw log, decoded, newest first.
SELECT block_number, transaction_index, event_index, transaction_hash, from_address, contract,
    name, args::text AS args, keys, data
FROM events
WHERE ($1::bigint IS NULL OR block_number = $1)
    AND ($2::text IS NULL OR transaction_hash = $2)
    AND ($3::text IS NULL OR name = $3)
ORDER BY block_number DESC, transaction_index DESC, event_index DESC
LIMIT $4;
