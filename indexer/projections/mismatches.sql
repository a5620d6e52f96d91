-- name: drop
-- Forget the mismatches above a block.
DELETE FROM accrual_mismatches WHERE block_number > $1;

-- name: summary
-- Mismatches by protocol and variant, with the last of them.
SELECT protocol, variant, count(*) AS mismatches,
    count(*) FILTER (WHERE explanation IS NULL) AS unexplained, max(block_number) AS last_block
FROM accrual_mismatches
GROUP BY protocol, variant
ORDER BY protocol, variant;
