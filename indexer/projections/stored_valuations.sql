-- name: rows
-- Stored rows with what they are said to be worth, in the order of their blocks; of the keys
-- $1 and $2, or all where those are NULL.
SELECT {aliased}, {t_valuation}
FROM {live}.{name} t
WHERE $1::text[] IS NULL
    OR (t.pool_id, t.id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))
ORDER BY t.valued_at_block, t.sampling;

-- name: block_time
-- The time of a stored block.
SELECT timestamp FROM blocks WHERE number = $1;
