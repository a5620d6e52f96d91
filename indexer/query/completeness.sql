-- name: blocks
-- Blocks verified for the present watch list, by method.
SELECT method, sum(last_block - first_block + 1) AS blocks
FROM verified_ranges
WHERE watch_list IS NOT DISTINCT FROM (SELECT digest FROM watch_list_version)
GROUP BY method;

-- name: counts
-- Committed blocks, verified ranges, and the events that differed from the chain.
SELECT
    COALESCE((SELECT block_number - start_block + 1 FROM cursor), 0) AS committed_blocks,
    (SELECT count(*) FROM verified_ranges
     WHERE watch_list IS NOT DISTINCT FROM (SELECT digest FROM watch_list_version)) AS ranges,
    COALESCE((SELECT sum(last_block - first_block + 1) FROM verified_ranges
     WHERE watch_list IS DISTINCT FROM (SELECT digest FROM watch_list_version)), 0)
        AS outdated_blocks,
    (SELECT digest FROM watch_list_version) AS watch_list,
    (SELECT count(*) FROM completeness_gaps WHERE repaired_at IS NULL) AS gaps_open,
    (SELECT count(*) FROM completeness_gaps WHERE repaired_at IS NOT NULL) AS gaps_repaired;

-- name: ranges
-- The newest ranges that are verified for the present watch list.
SELECT first_block, last_block, method, verified_at
FROM verified_ranges
WHERE watch_list IS NOT DISTINCT FROM (SELECT digest FROM watch_list_version)
ORDER BY first_block DESC
LIMIT $1;

-- name: holes
-- The newest committed blocks that no range verified for the present watch list holds.
SELECT before + 1 AS first_block, first_block - 1 AS last_block
FROM (
    SELECT
        first_block,
        lag(last_block, 1, (SELECT start_block - 1 FROM cursor)) OVER (ORDER BY first_block)
            AS before
    FROM (
        SELECT first_block, last_block
        FROM verified_ranges
        WHERE watch_list IS NOT DISTINCT FROM (SELECT digest FROM watch_list_version)
        UNION ALL
        SELECT block_number + 1, block_number + 1 FROM cursor
    ) AS covered
) AS neighbours
WHERE before + 1 < first_block
ORDER BY first_block DESC
LIMIT $1;

-- name: gaps
-- The newest events in which the log still differs from the chain.
SELECT block_number, transaction_index, event_index, transaction_hash, from_address, difference,
    found_at
FROM completeness_gaps
WHERE repaired_at IS NULL
ORDER BY block_number DESC, transaction_index DESC, event_index DESC
LIMIT $1;
