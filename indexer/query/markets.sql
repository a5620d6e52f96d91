-- name: block_times
-- The times of blocks, as far as they are stored.
SELECT number, timestamp
FROM blocks
WHERE number = ANY ($1::bigint[]);
