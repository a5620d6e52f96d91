-- name: write_prices
-- The newest prices of assets ($1 pool ids, $2 ids), and when each was told.
UPDATE vesu_assets t
SET (price, price_is_valid, price_block, price_timestamp) =
    ROW(v.price::numeric, v.price_is_valid, v.price_block, v.price_timestamp::timestamptz)
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::boolean[], $5::bigint[], $6::text[])
    AS v (pool_id, id, price, price_is_valid, price_block, price_timestamp)
WHERE t.pool_id = v.pool_id AND t.id = v.id;
