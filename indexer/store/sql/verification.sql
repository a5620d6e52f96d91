-- name: hold_cursor
-- The cursor, kept from whoever writes until the transaction ends; readers are not held up.
SELECT fork_counter FROM cursor FOR NO KEY UPDATE;

-- name: near
-- The verified ranges that overlap or touch a range.
SELECT first_block, last_block, method, verified_at
FROM verified_ranges
WHERE last_block >= $1::bigint - 1 AND first_block <= $2::bigint + 1
ORDER BY first_block;

-- name: forget
-- Take out the ranges that begin at these blocks.
DELETE FROM verified_ranges WHERE first_block = ANY ($1::bigint[]);

-- name: put
-- Add a range.
INSERT INTO verified_ranges (first_block, last_block, method, verified_at)
VALUES ($1, $2, $3, $4);

-- name: drop_above
-- Forget the ranges that begin above a block.
DELETE FROM verified_ranges WHERE first_block > $1;

-- name: cut_above
-- End the range that reaches above a block at it.
UPDATE verified_ranges SET last_block = $1 WHERE last_block > $1;

-- name: lacking
-- The parts of a range that no range of these methods covers, highest first.
SELECT before + 1 AS first_block, first_block - 1 AS last_block
FROM (
    SELECT first_block, lag(last_block, 1, $1::bigint - 1) OVER (ORDER BY first_block) AS before
    FROM (
        SELECT first_block, last_block
        FROM verified_ranges
        WHERE method = ANY ($3::text[]) AND last_block >= $1 AND first_block <= $2
        UNION ALL
        SELECT $2::bigint + 1, $2::bigint + 1
    ) AS covered
) AS neighbours
WHERE before + 1 < first_block
ORDER BY first_block DESC
LIMIT $4;

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

-- name: add_gap
-- Add what the log lacks or has too much; once while it is not repaired.
INSERT INTO completeness_gaps
    (block_number, transaction_index, event_index, transaction_hash, from_address, difference)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (block_number, transaction_index, event_index) WHERE repaired_at IS NULL DO NOTHING;

-- name: open_blocks
-- Blocks with a gap that is not repaired, lowest first; whether a rollback has begun it.
SELECT block_number, bool_and(reorg_id IS NOT NULL) AS is_rolled_back
FROM completeness_gaps
WHERE repaired_at IS NULL
GROUP BY block_number
ORDER BY block_number;

-- name: stored_below
-- The highest stored block below a block.
SELECT number, hash FROM blocks WHERE number < $1 ORDER BY number DESC LIMIT 1;

-- name: roll_gaps_back
-- Note the rollback that took the tables back to before these gaps.
UPDATE completeness_gaps SET reorg_id = $1 WHERE repaired_at IS NULL AND block_number > $2;

-- name: close_gaps
-- Note that these blocks were read again, proved.
UPDATE completeness_gaps
SET repaired_at = clock_timestamp()
WHERE repaired_at IS NULL AND reorg_id IS NOT NULL AND block_number BETWEEN $1 AND $2;

-- name: head
-- The head that the node last told.
SELECT block_number FROM chain_head;
