-- name: drop
-- Forget the mismatches above a block.
DELETE FROM accrual_mismatches WHERE block_number > $1;
