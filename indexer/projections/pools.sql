-- name: upsert
-- Write current rows; an older version of a row is replaced.
INSERT INTO vesu_pools
SELECT * FROM json_populate_recordset(NULL::vesu_pools, $1::text::json)
ON CONFLICT (pool_id, id) DO UPDATE
SET (
    pool_address, protocol, collateral_address, debt_address, max_ltv_raw,
    liquidation_factor_raw, debt_cap_raw, pair_collateral_shares, pair_nominal_debt,
    is_configured, name, collateral_asset, debt_asset, max_ltv, liquidation_threshold,
    liquidation_bonus, debt_cap, total_supply, total_borrow, utilization, supply_apy,
    borrow_apy, collateral_supply_apy, pair_collateral, pair_debt, is_active, is_paused,
    last_synced_at, last_synced_block, created_at, changed_at, changed_block
) = (
    excluded.pool_address, excluded.protocol, excluded.collateral_address,
    excluded.debt_address, excluded.max_ltv_raw, excluded.liquidation_factor_raw,
    excluded.debt_cap_raw, excluded.pair_collateral_shares, excluded.pair_nominal_debt,
    excluded.is_configured, excluded.name, excluded.collateral_asset, excluded.debt_asset,
    excluded.max_ltv, excluded.liquidation_threshold, excluded.liquidation_bonus,
    excluded.debt_cap, excluded.total_supply, excluded.total_borrow, excluded.utilization,
    excluded.supply_apy, excluded.borrow_apy, excluded.collateral_supply_apy,
    excluded.pair_collateral, excluded.pair_debt, excluded.is_active, excluded.is_paused,
    excluded.last_synced_at, excluded.last_synced_block, excluded.created_at,
    excluded.changed_at, excluded.changed_block
);

-- name: load
-- All pairs.
SELECT
    id, pool_id, pool_address, protocol, collateral_address, debt_address, max_ltv_raw,
    liquidation_factor_raw, debt_cap_raw, pair_collateral_shares, pair_nominal_debt,
    is_configured,
    created_at, changed_at, changed_block AS block_number
FROM vesu_pools;

-- name: drop_history
-- Forget the versions above a block; returns the rows they belonged to.
WITH gone AS (
    DELETE FROM vesu_pool_history WHERE block_number > $1 RETURNING pool_id, id
)
SELECT DISTINCT pool_id, id FROM gone;

-- name: latest
-- The newest version that is left of each of these rows: one step in the index for each,
-- however long its history is.
SELECT
    h.id, h.pool_id, h.pool_address, h.protocol, h.collateral_address, h.debt_address,
    h.max_ltv_raw, h.liquidation_factor_raw, h.debt_cap_raw, h.pair_collateral_shares,
    h.pair_nominal_debt, h.is_configured,
    h.created_at, h.changed_at, h.block_number
FROM unnest($1::text[], $2::uuid[]) AS wanted (pool_id, id)
CROSS JOIN LATERAL (
    SELECT *
    FROM vesu_pool_history v
    WHERE v.pool_id = wanted.pool_id AND v.id = wanted.id
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h;

-- name: delete
-- Take rows out that no version is left of.
DELETE FROM vesu_pools t
USING unnest($1::text[], $2::uuid[]) AS gone (pool_id, id)
WHERE t.pool_id = gone.pool_id AND t.id = gone.id;
