-- name: drop
-- Forget liquidations above a block.
DELETE FROM vesu_liquidations WHERE block_number > $1;
