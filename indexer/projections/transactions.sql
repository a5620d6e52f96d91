-- name: drop
-- Forget effects above a block.
DELETE FROM vesu_transactions WHERE block_number > $1;
