-- name: hold_cursor
-- The cursor, kept from whoever writes until the transaction ends; readers are not held up.
SELECT fork_counter FROM cursor FOR NO KEY UPDATE;

-- name: wait_for_no_disk
-- A crash of the server may forget this transaction: it can be made again.
SET LOCAL synchronous_commit = off;

-- name: seals
-- Stored blocks from block to block, and their seals.
SELECT number, seal FROM blocks WHERE number BETWEEN $1 AND $2;

-- name: sealed
-- How many stored blocks were sealed.
SELECT count(*) FROM blocks WHERE seal IS NOT NULL;

-- name: watched
-- Since which block each discovered contract is ours; a pool inside a singleton is no contract.
SELECT address, min(created_block) AS since
FROM contracts
WHERE address IS DISTINCT FROM pool_id OR pool_id = pool_address
GROUP BY address;

-- name: mark
-- Note on stored blocks whether their events were proved by commitment, and what those are.
UPDATE blocks b
SET verified = d.verified, seal = d.seal
FROM unnest($1::bigint[], $2::boolean[], $3::text[]) AS d (number, verified, seal)
WHERE b.number = d.number AND (b.verified, b.seal) IS DISTINCT FROM (d.verified, d.seal);
