-- name: add_gap
-- Add what the log lacks or has too much; once while it is not repaired.
INSERT INTO completeness_gaps
    (block_number, transaction_index, event_index, transaction_hash, from_address, difference)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (block_number, transaction_index, event_index) WHERE repaired_at IS NULL DO NOTHING;

-- name: add_observation_gap
-- Add an answer that is another now; once while it is not repaired.
INSERT INTO observation_gaps (block_number, contract, view, calldata)
VALUES ($1, $2, $3, $4)
ON CONFLICT (block_number, contract, view, calldata) WHERE repaired_at IS NULL DO NOTHING;

-- name: open_blocks
-- Blocks with a gap that is not repaired, lowest first; whether a rollback has begun it.
SELECT block_number, bool_and(reorg_id IS NOT NULL) AS is_rolled_back
FROM (
    SELECT block_number, reorg_id FROM completeness_gaps WHERE repaired_at IS NULL
    UNION ALL
    SELECT block_number, reorg_id FROM observation_gaps WHERE repaired_at IS NULL
) AS gaps
GROUP BY block_number
ORDER BY block_number;

-- name: stored_below
-- The highest stored block below a block.
SELECT number, hash FROM blocks WHERE number < $1 ORDER BY number DESC LIMIT 1;

-- name: roll_gaps_back
-- Note the rollback that took the tables back to before these gaps.
UPDATE completeness_gaps SET reorg_id = $1 WHERE repaired_at IS NULL AND block_number > $2;

-- name: roll_observation_gaps_back
-- Note the rollback that took the tables back to before these answers.
UPDATE observation_gaps SET reorg_id = $1 WHERE repaired_at IS NULL AND block_number > $2;

-- name: close_observation_gaps
-- Note that the views of these blocks were asked again.
UPDATE observation_gaps
SET repaired_at = clock_timestamp()
WHERE repaired_at IS NULL AND reorg_id IS NOT NULL AND block_number BETWEEN $1 AND $2;

-- name: close_gaps
-- Note that these blocks were read again, proved.
UPDATE completeness_gaps
SET repaired_at = clock_timestamp()
WHERE repaired_at IS NULL AND reorg_id IS NOT NULL AND block_number BETWEEN $1 AND $2;
