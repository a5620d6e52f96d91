-- name: upsert
-- Write current rows; an older version of a row is replaced.
INSERT INTO vesu_positions
SELECT * FROM json_populate_recordset(NULL::vesu_positions, $1::text::json)
ON CONFLICT (pool_id, id) DO UPDATE
SET (
    pool_address, protocol, user_id, kind, collateral_address, debt_address, v_token,
    collateral_shares, nominal_debt, vtoken_balance_raw, status, pool_pair_id,
    collateral_asset, debt_asset, vtoken_balance, collateral_raw, debt_raw, collateral_amount,
    debt_amount, collateral_value_usd, debt_value_usd, ltv, health_factor, liquidation_price,
    valued_at, valued_at_block, last_updated, last_event_block, created_at, migrated_block
) = (
    excluded.pool_address, excluded.protocol, excluded.user_id, excluded.kind,
    excluded.collateral_address, excluded.debt_address, excluded.v_token,
    excluded.collateral_shares, excluded.nominal_debt, excluded.vtoken_balance_raw,
    excluded.status, excluded.pool_pair_id, excluded.collateral_asset, excluded.debt_asset,
    excluded.vtoken_balance, excluded.collateral_raw, excluded.debt_raw,
    excluded.collateral_amount, excluded.debt_amount, excluded.collateral_value_usd,
    excluded.debt_value_usd, excluded.ltv, excluded.health_factor, excluded.liquidation_price,
    excluded.valued_at, excluded.valued_at_block, excluded.last_updated,
    excluded.last_event_block, excluded.created_at, excluded.migrated_block
);

-- name: load
-- The named positions.
SELECT
    id, pool_id, pool_address, protocol, user_id, kind, collateral_address, debt_address,
    v_token, collateral_shares, nominal_debt, vtoken_balance_raw, status,
    migrated_block, created_at, last_updated AS changed_at, last_event_block AS block_number
FROM vesu_positions p
JOIN unnest($1::text[], $2::uuid[]) AS wanted (pool_id, id) USING (pool_id, id);

-- name: drop_history
-- Forget the versions above a block; returns the rows they belonged to.
WITH gone AS (
    DELETE FROM vesu_position_history WHERE block_number > $1 RETURNING pool_id, id
)
SELECT DISTINCT pool_id, id FROM gone;

-- name: latest
-- The newest version that is left of each of these rows: one step in the index for each,
-- however long its history is.
SELECT
    h.id, h.pool_id, h.pool_address, h.protocol, h.user_id, h.kind, h.collateral_address,
    h.debt_address, h.v_token, h.collateral_shares, h.nominal_debt, h.vtoken_balance_raw,
    h.status, h.migrated_block,
    h.created_at, h.changed_at, h.block_number
FROM unnest($1::text[], $2::uuid[]) AS wanted (pool_id, id)
CROSS JOIN LATERAL (
    SELECT *
    FROM vesu_position_history v
    WHERE v.pool_id = wanted.pool_id AND v.id = wanted.id
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h;

-- name: delete
-- Take rows out that no version is left of.
DELETE FROM vesu_positions t
USING unnest($1::text[], $2::uuid[]) AS gone (pool_id, id)
WHERE t.pool_id = gone.pool_id AND t.id = gone.id;

-- name: load_of_assets
-- All positions that are not empty and hold or owe one of these assets of a pool.
SELECT
    p.id, p.pool_id, p.pool_address, p.protocol, p.user_id, p.kind, p.collateral_address,
    p.debt_address, p.v_token, p.collateral_shares, p.nominal_debt, p.vtoken_balance_raw,
    p.status, p.migrated_block,
    p.created_at, p.last_updated AS changed_at, p.last_event_block AS block_number
FROM vesu_positions p
WHERE p.status = 'active'
    AND EXISTS (
        SELECT 1
        FROM unnest($1::text[], $2::text[], $3::text[])
            AS wanted (pool_id, pool_address, asset_address)
        WHERE wanted.pool_id = p.pool_id
            AND wanted.pool_address = p.pool_address
            AND wanted.asset_address IN (p.collateral_address, p.debt_address)
    );
