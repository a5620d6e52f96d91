-- name: append
-- Add effects.
INSERT INTO vesu_transactions
SELECT * FROM json_populate_recordset(NULL::vesu_transactions, $1::text::json);

-- name: drop
-- Forget effects above a block.
DELETE FROM vesu_transactions WHERE block_number > $1;
