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

-- name: holders
-- Those of these addresses that hold a position, or held one.
SELECT DISTINCT user_id FROM vesu_positions WHERE user_id = ANY($1::text[]);
