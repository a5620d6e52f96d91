-- name: below
-- Active positions with debt whose shares to debt lie below the bound ($2) of their pair ($1), at
-- most $3. The expression is that of idx_vesu_positions_shares_to_debt.
SELECT near.*
FROM unnest($1::uuid[], $2::numeric[]) AS wanted (pool_pair_id, bound)
CROSS JOIN LATERAL (
    SELECT t.pool_id, t.id::text AS id
    FROM vesu_positions t
    WHERE t.pool_pair_id = wanted.pool_pair_id
        AND t.status = 'active' AND t.nominal_debt > 0
        AND CASE WHEN LEAST(t.collateral_shares, t.nominal_debt) < 1000000000000000 THEN 0
            ELSE div(t.collateral_shares * 1000000000, t.nominal_debt) END < wanted.bound
    OFFSET 0
) AS near
LIMIT $3;
