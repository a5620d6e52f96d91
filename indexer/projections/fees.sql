-- name: fill
-- Write the fees of transactions whose receipts were read after their events.
UPDATE vesu_transactions t
SET gas_used = d.gas_used, fee_unit = d.fee_unit
FROM unnest($1::bigint[], $2::integer[], $3::text[]::numeric[], $4::text[])
    AS d (block_number, transaction_index, gas_used, fee_unit)
WHERE t.block_number = d.block_number AND t.transaction_index = d.transaction_index;
