-- name: oldest
-- The $3 active rows that were valued longest ago, below block $1 or without sampling $2.
SELECT t.ctid, {aliased}
FROM {name} t
WHERE t.status = 'active' AND (t.valued_at_block < $1 OR t.sampling < $2)
ORDER BY t.valued_at_block
LIMIT $3;

-- name: above
-- All active rows that were valued above block $1.
SELECT t.ctid, {aliased} FROM {name} t WHERE t.status = 'active' AND t.valued_at_block > $1;

-- name: near_liquidation
-- Active rows of pairs ($3) whose shares to debt lie below the pair's bound ($4), valued below
-- block $1 or without sampling $2; of each pair $5 at most, the lowest first (NULL: all). The
-- expression is that of idx_vesu_positions_shares_to_debt.
SELECT near.*
FROM unnest($3::uuid[], $4::numeric[]) AS wanted (pool_pair_id, bound)
CROSS JOIN LATERAL (
    SELECT t.ctid, {aliased}
    FROM {name} t
    WHERE t.pool_pair_id = wanted.pool_pair_id
        AND t.status = 'active' AND t.nominal_debt > 0
        AND CASE WHEN LEAST(t.collateral_shares, t.nominal_debt) < 1000000000000000 THEN 0
            ELSE div(t.collateral_shares * 1000000000, t.nominal_debt) END < wanted.bound
        AND (t.valued_at_block < $1 OR t.sampling < $2)
    ORDER BY CASE WHEN LEAST(t.collateral_shares, t.nominal_debt) < 1000000000000000 THEN 0
        ELSE div(t.collateral_shares * 1000000000, t.nominal_debt) END
    LIMIT $5
) AS near;

-- name: without_bitmaps
-- PostgreSQL cannot know how few rows are near a liquidation, and would collect them in a bitmap,
-- which reads every dead entry of the index each time; an index scan marks them.
SET LOCAL enable_bitmapscan = off;

-- name: with_bitmaps
-- Plan as usual again.
SET LOCAL enable_bitmapscan TO DEFAULT;

-- name: count_active
-- How many rows are active; where they are many, how many the last VACUUM or ANALYZE found, since
-- counting a million takes longer than a commit may.
SELECT COALESCE(
    (SELECT reltuples::bigint
     FROM pg_class
     WHERE oid = to_regclass('idx_vesu_positions_valued_at_block') AND reltuples >= 10000),
    (SELECT count(*) FROM vesu_positions WHERE status = 'active')
);

-- name: write
-- Write what rows are worth, from one JSON document, by the places ($2) at which they were found.
-- A row that is valued at every block leaves many dead versions in the index of its key.
UPDATE {name} t
SET ({valuation}) = ROW({v_valuation})
FROM ROWS FROM (json_populate_recordset(NULL::{name}, $1::text::json), unnest($2::tid[])) v
WHERE t.ctid = v.unnest AND ({t_key}) = ({v_key});

-- name: write_by_key
-- The same by key alone, where another session has moved one of the rows since.
UPDATE {name} t
SET ({valuation}) = ROW({v_valuation})
FROM json_populate_recordset(NULL::{name}, $1::text::json) v
WHERE ({t_key}) = ({v_key});
