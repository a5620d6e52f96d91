-- name: upsert
-- Write current rows; an older version of a row is replaced.
INSERT INTO vesu_assets
SELECT * FROM json_populate_recordset(NULL::vesu_assets, $1::text::json)
ON CONFLICT (pool_id, id) DO UPDATE
SET (
    pool_address, protocol, asset_address, total_collateral_shares, total_nominal_debt,
    reserve, max_utilization, floor, scale, is_legacy, last_updated, last_rate_accumulator,
    last_full_utilization_rate, fee_rate, fee_shares, price, price_is_valid, price_block,
    v_token, min_target_utilization, max_target_utilization, target_utilization,
    min_full_utilization_rate, max_full_utilization_rate, zero_utilization_rate,
    rate_half_life, target_rate_percent, symbol, name, decimals, utilization, supply_apy,
    borrow_apy, block_number, changed_at, variant, unowned_shares
) = (
    excluded.pool_address, excluded.protocol, excluded.asset_address,
    excluded.total_collateral_shares, excluded.total_nominal_debt, excluded.reserve,
    excluded.max_utilization, excluded.floor, excluded.scale, excluded.is_legacy,
    excluded.last_updated, excluded.last_rate_accumulator, excluded.last_full_utilization_rate,
    excluded.fee_rate, excluded.fee_shares, excluded.price, excluded.price_is_valid,
    excluded.price_block, excluded.v_token, excluded.min_target_utilization,
    excluded.max_target_utilization, excluded.target_utilization,
    excluded.min_full_utilization_rate, excluded.max_full_utilization_rate,
    excluded.zero_utilization_rate, excluded.rate_half_life, excluded.target_rate_percent,
    excluded.symbol, excluded.name, excluded.decimals, excluded.utilization,
    excluded.supply_apy, excluded.borrow_apy, excluded.block_number, excluded.changed_at,
    excluded.variant, excluded.unowned_shares
);

-- name: load
-- All assets.
SELECT
    id, pool_id, pool_address, protocol, asset_address, total_collateral_shares,
    total_nominal_debt, reserve, max_utilization, floor, scale, is_legacy, last_updated,
    last_rate_accumulator, last_full_utilization_rate, fee_rate, fee_shares, price,
    price_is_valid, price_block, v_token, min_target_utilization, max_target_utilization,
    target_utilization, min_full_utilization_rate, max_full_utilization_rate,
    zero_utilization_rate, rate_half_life, target_rate_percent,
    variant, unowned_shares, changed_at, block_number
FROM vesu_assets;

-- name: drop_history
-- Forget the versions above a block; returns the rows they belonged to.
WITH gone AS (
    DELETE FROM vesu_asset_history WHERE block_number > $1 RETURNING pool_id, id
)
SELECT DISTINCT pool_id, id FROM gone;

-- name: latest
-- The newest version that is left of each of these rows: one step in the index for each,
-- however long its history is.
SELECT
    h.id, h.pool_id, h.pool_address, h.protocol, h.asset_address, h.total_collateral_shares,
    h.total_nominal_debt, h.reserve, h.max_utilization, h.floor, h.scale, h.is_legacy,
    h.last_updated, h.last_rate_accumulator, h.last_full_utilization_rate, h.fee_rate,
    h.fee_shares, h.price, h.price_is_valid, h.price_block, h.v_token,
    h.min_target_utilization, h.max_target_utilization, h.target_utilization,
    h.min_full_utilization_rate, h.max_full_utilization_rate, h.zero_utilization_rate,
    h.rate_half_life, h.target_rate_percent,
    h.variant, h.unowned_shares, h.changed_at, h.block_number
FROM unnest($1::text[], $2::uuid[]) AS wanted (pool_id, id)
CROSS JOIN LATERAL (
    SELECT *
    FROM vesu_asset_history v
    WHERE v.pool_id = wanted.pool_id AND v.id = wanted.id
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h;

-- name: delete
-- Take rows out that no version is left of.
DELETE FROM vesu_assets t
USING unnest($1::text[], $2::uuid[]) AS gone (pool_id, id)
WHERE t.pool_id = gone.pool_id AND t.id = gone.id;
