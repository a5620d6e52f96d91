-- name: by_health
-- The active positions of pairs ($1) with the fewest shares to debt from $2 up to below $3, at most
-- $5, by what that makes of their health ($4 a unit). The expression is that of
-- idx_vesu_positions_shares_to_debt.
SELECT near.pool_id, near.id
FROM unnest($1::uuid[], $2::numeric[], $3::numeric[], $4::numeric[])
    AS wanted (pool_pair_id, least, most, unit)
CROSS JOIN LATERAL (
    SELECT t.pool_id, t.id::text AS id, t.measure
    FROM (
        SELECT pool_id, id, pool_pair_id, status, nominal_debt,
            CASE WHEN LEAST(collateral_shares, nominal_debt) < 1000000000000000 THEN 0
                ELSE div(collateral_shares * 1000000000, nominal_debt) END AS measure
        FROM vesu_positions
    ) AS t
    WHERE t.pool_pair_id = wanted.pool_pair_id
        AND t.status = 'active' AND t.nominal_debt > 0
        AND t.measure >= wanted.least AND t.measure < wanted.most
    ORDER BY t.measure
    LIMIT $5
) AS near
ORDER BY near.measure * wanted.unit
LIMIT $5;

-- name: by_debt
-- The positions with the largest nominal debt from $4 up to $5 in assets ($1 to $3: pool id, pool
-- address, asset), at most $7, by what that is worth ($6 a unit). The index is
-- idx_vesu_positions_by_debt.
SELECT near.pool_id, near.id
FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::numeric[])
    AS wanted (pool_id, pool_address, asset, least, most, unit)
CROSS JOIN LATERAL (
    SELECT t.pool_id, t.id::text AS id, t.nominal_debt AS measure
    FROM vesu_positions t
    WHERE hashtextextended(t.pool_id || t.pool_address || t.debt_address, 0)
            = hashtextextended(wanted.pool_id || wanted.pool_address || wanted.asset, 0)
        AND t.pool_id = wanted.pool_id AND t.pool_address = wanted.pool_address
        AND t.debt_address = wanted.asset
        AND t.nominal_debt > 0 AND t.nominal_debt BETWEEN wanted.least AND wanted.most
    ORDER BY t.nominal_debt DESC
    LIMIT $7
) AS near
ORDER BY near.measure * wanted.unit DESC
LIMIT $7;

-- name: by_collateral
-- The positions with the most shares, held or in vTokens: the same by idx_vesu_positions_by_shares.
SELECT near.pool_id, near.id
FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::numeric[])
    AS wanted (pool_id, pool_address, asset, least, most, unit)
CROSS JOIN LATERAL (
    SELECT t.pool_id, t.id::text AS id, t.collateral_shares + t.vtoken_balance_raw AS measure
    FROM vesu_positions t
    WHERE hashtextextended(t.pool_id || t.pool_address || t.collateral_address, 0)
            = hashtextextended(wanted.pool_id || wanted.pool_address || wanted.asset, 0)
        AND t.pool_id = wanted.pool_id AND t.pool_address = wanted.pool_address
        AND t.collateral_address = wanted.asset
        AND t.collateral_shares + t.vtoken_balance_raw > 0
        AND t.collateral_shares + t.vtoken_balance_raw BETWEEN wanted.least AND wanted.most
    ORDER BY t.collateral_shares + t.vtoken_balance_raw DESC
    LIMIT $7
) AS near
ORDER BY near.measure * wanted.unit DESC
LIMIT $7;
