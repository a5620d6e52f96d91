-- name: append
-- Add one view answer to the log.
INSERT INTO observations (block_number, contract, view, calldata, block_hash, result, error)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: read
-- All answers of the named views, oldest first.
SELECT block_number, block_hash, contract, view, calldata, result, error
FROM observations
WHERE view = ANY ($1::text[])
ORDER BY block_number, contract, view;

-- name: read_blocks
-- All answers of these blocks, oldest first.
SELECT block_number, block_hash, contract, view, calldata, result, error
FROM observations
WHERE block_number BETWEEN $1 AND $2
ORDER BY block_number, contract, view;

-- name: to_confirm
-- The newest answers of a range that were not asked again yet, or all of them; at most $4, and none
-- of the contracts $5 with the first arguments $6. What nobody answered is asked for itself.
SELECT block_number, block_hash, contract, view, calldata, result, error
FROM observations o
WHERE block_number BETWEEN $1 AND $2 AND (confirmed_at IS NULL OR $3::boolean)
    AND error IS DISTINCT FROM 'unanswered'
    AND NOT EXISTS (
        SELECT FROM unnest($5::text[], $6::text[]) AS put_off (contract, argument)
        WHERE put_off.contract = o.contract AND put_off.argument IS NOT DISTINCT FROM o.calldata[1]
    )
ORDER BY block_number DESC, contract, view, calldata
LIMIT $4::bigint;

-- name: unanswered
-- Views of a range that no endpoint could answer, the newest first.
SELECT block_number, block_hash, contract, view, calldata, result, error
FROM observations
WHERE error = $1 AND block_number BETWEEN $2 AND $3
ORDER BY block_number DESC, contract, view, calldata
LIMIT $4;

-- name: confirm
-- Note that a view was asked again and gave the same answer.
UPDATE observations
SET confirmed_at = clock_timestamp()
WHERE block_number = $1 AND contract = $2 AND view = $3 AND calldata = $4;
