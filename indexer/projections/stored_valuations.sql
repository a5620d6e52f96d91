-- name: rows
-- Stored rows with what they are said to be worth, in the order of their blocks, and the times of
-- these; of the keys $1 and $2, or all where those are NULL.
SELECT {aliased}, {t_valuation}, b.timestamp AS block_time
FROM {live}.{name} t
LEFT JOIN blocks b ON b.number = t.valued_at_block
WHERE $1::text[] IS NULL
    OR (t.pool_id, t.id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))
ORDER BY t.valued_at_block, t.sampling;
