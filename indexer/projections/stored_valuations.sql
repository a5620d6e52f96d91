-- name: rows
-- Stored rows with what they are said to be worth, in the order of their blocks, and the times of
-- these; of the keys $1 and $2, or all where those are NULL. Numbers go as text: most are equal to
-- the computed ones by their text already, and numbers are slow to read.
SELECT t.id, t.pool_id, t.pool_address, t.user_id, t.kind, t.collateral_address, t.debt_address,
    t.v_token, t.collateral_shares::text, t.nominal_debt::text, t.vtoken_balance_raw::text,
    t.status, t.migrated_block, t.created_at, t.last_updated AS changed_at,
    t.last_event_block AS block_number, b.timestamp AS block_time,
    -- The valuation, in the order of its columns.
    t.collateral_raw::text, t.debt_raw::text, t.collateral_amount::text, t.debt_amount::text,
    t.collateral_value_usd::text, t.debt_value_usd::text, t.ltv::text, t.health_factor::text,
    t.liquidation_price::text, t.unvalued_reason, t.has_invalid_price, t.valued_at,
    t.valued_at_block, t.price_block, t.price_timestamp, t.sampling
FROM {live}.{name} t
LEFT JOIN blocks b ON b.number = t.valued_at_block
WHERE $1::text[] IS NULL
    OR (t.pool_id, t.id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))
ORDER BY t.valued_at_block, t.sampling;
