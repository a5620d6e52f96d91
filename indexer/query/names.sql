-- name: pools
-- Pools with their contract and their names, one row each and contract.
SELECT pool_id, pool_address, max(name) AS name
FROM (
    SELECT pool_id, pool_address, name FROM vesu_pools
    UNION ALL SELECT pool_id, pool_address, NULL FROM vesu_assets
) AS found
GROUP BY pool_id, pool_address
ORDER BY pool_id, pool_address;

-- name: assets
-- Assets with their symbols; of one pool, where it is given.
SELECT DISTINCT asset_address, symbol
FROM vesu_assets
WHERE $1::text IS NULL OR pool_id = $1
ORDER BY asset_address;

-- name: event_names
-- The names of all events that were decoded.
SELECT DISTINCT name FROM event_layouts ORDER BY name;

-- name: contracts
-- Those of these addresses that are contracts of ours.
SELECT address FROM contracts WHERE address = ANY ($1::text[]);
