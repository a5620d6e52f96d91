-- name: read
-- The pools that count; none: every pool does.
SELECT pool_id, name, origin FROM listed_pools ORDER BY pool_id;

-- name: remember
-- Make the list of pools ($1), their names ($2) and origins ($3) the one that is remembered.
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS w (pool_id, name, origin)
),
gone AS (
    DELETE FROM listed_pools l WHERE NOT EXISTS (SELECT FROM wanted w WHERE w.pool_id = l.pool_id)
)
INSERT INTO listed_pools AS l (pool_id, name, origin)
SELECT pool_id, name, origin FROM wanted
ON CONFLICT (pool_id) DO UPDATE SET (name, origin) = (excluded.name, excluded.origin)
WHERE (l.name, l.origin) IS DISTINCT FROM (excluded.name, excluded.origin);

-- name: misplaced
-- Pools whose assets say something else than the list; each position is of a pool with assets.
SELECT DISTINCT a.pool_id
FROM vesu_assets a
WHERE a.is_listed IS DISTINCT FROM (
    NOT EXISTS (SELECT FROM listed_pools)
    OR EXISTS (SELECT FROM listed_pools l WHERE l.pool_id = a.pool_id)
)
ORDER BY a.pool_id;

-- name: list_rows
-- Say in a pool's rows of a table whether the pool is listed.
UPDATE {name} p
SET is_listed = NOT p.is_listed
WHERE p.pool_id = $1
    AND p.is_listed IS DISTINCT FROM (
        NOT EXISTS (SELECT FROM listed_pools)
        OR EXISTS (SELECT FROM listed_pools l WHERE l.pool_id = p.pool_id)
    );

-- name: replaced
-- Whoever keeps answers must read anew.
UPDATE cursor SET generation = generation + 1;
