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

-- name: changed
-- Positions that changed above a block ($1), at most $2 versions.
SELECT DISTINCT pool_id, id::text AS id
FROM (SELECT pool_id, id FROM vesu_position_history WHERE block_number > $1 LIMIT $2) AS since;

-- name: count_changed
-- How many versions there are above a block ($1), counted up to $2.
SELECT count(*) FROM (
    SELECT 1 FROM vesu_position_history WHERE block_number > $1 LIMIT $2
) AS since;
