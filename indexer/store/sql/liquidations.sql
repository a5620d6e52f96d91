-- name: append
-- Add liquidations.
INSERT INTO vesu_liquidations
SELECT * FROM json_populate_recordset(NULL::vesu_liquidations, $1::text::json);

-- name: drop
-- Forget liquidations above a block.
DELETE FROM vesu_liquidations WHERE block_number > $1;
