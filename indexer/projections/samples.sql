-- name: newest
-- Of the assets $3, $4 the newest sample up to block $1 of samplings up to $2, and the newest price
-- that one of them told.
SELECT wanted.place, s.block_number, s.is_valid, s.rate_model, p.price,
    p.block_number AS price_block, p.timestamp AS price_timestamp
FROM unnest($3::text[], $4::uuid[]) WITH ORDINALITY AS wanted (pool_id, asset_id, place)
CROSS JOIN LATERAL (
    SELECT v.block_number, v.is_valid, v.rate_model
    FROM vesu_sampled_prices v
    WHERE v.pool_id = wanted.pool_id AND v.asset_id = wanted.asset_id
        AND v.block_number <= $1 AND v.sampling <= $2
    ORDER BY v.block_number DESC
    LIMIT 1
) s
LEFT JOIN LATERAL (
    SELECT v.price, v.block_number, v.timestamp
    FROM vesu_sampled_prices v
    WHERE v.pool_id = wanted.pool_id AND v.asset_id = wanted.asset_id
        AND v.block_number <= $1 AND v.sampling <= $2 AND v.price IS NOT NULL
    ORDER BY v.block_number DESC
    LIMIT 1
) p ON true;

-- name: since
-- The newest sampling, and whether one is of a block above $1 and up to $2.
SELECT COALESCE((SELECT max(number) FROM price_samplings), 0) AS newest,
    EXISTS (SELECT FROM price_samplings WHERE block_number > $1 AND block_number <= $2)
        AS has_between;

-- name: at_block
-- The assets that were sampled at a block.
SELECT asset_id FROM vesu_sampled_prices WHERE block_number = $1 AND price IS NOT NULL;
