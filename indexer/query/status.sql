-- name: status
-- How fresh the tables are.
SELECT committed_block, committed_hash, committed_at, age_seconds, head_block, head_seen_at,
    extract(epoch FROM clock_timestamp() - head_seen_at) AS head_age_seconds,
    (SELECT extract(epoch FROM clock_timestamp() - c.committed_at) FROM cursor c) AS idle_seconds,
    lag_blocks, finalised_block, fork_counter, chain_id, fold_version, suspect_reason,
    suspect_since,
    (SELECT min(block_number) FROM completeness_gaps WHERE repaired_at IS NULL) AS gap_block
FROM indexer_status;

-- name: counts
-- How many rows the tables of markets hold.
SELECT (SELECT count(*) FROM vesu_pools) AS pools, (SELECT count(*) FROM vesu_assets) AS assets;

-- name: undecoded
-- Events of ours without a name, by contract and selector.
SELECT m.contract, m.address AS from_address, u.selector, count(*) AS events
FROM (
    SELECT emitter, (event_felts(keys))[1] AS selector FROM event_log WHERE decoded_as IS NULL
) AS u
JOIN event_emitters m ON m.id = u.emitter
GROUP BY m.contract, m.address, u.selector
ORDER BY count(*) DESC, m.address, u.selector
LIMIT 20;

-- name: reorgs
-- The last reorganisations.
SELECT detected_at, ancestor_number, old_number, new_number, depth, events_orphaned,
    rows_restored, seconds, cause
FROM reorgs
ORDER BY id DESC
LIMIT 5;

-- name: standing_differences
-- Values that a check found different from the contracts' and no later one equal.
SELECT count(*) AS differences, count(DISTINCT (d.table_name, d.row_id)) AS rows,
    min(r.block_number) AS block_number
FROM reconciliation_differences d
JOIN reconciliations r ON r.id = d.reconciliation_id
WHERE d.resolved_by IS NULL;

-- name: last_reconciliation
-- The last check against the contracts.
SELECT checked_at, origin, block_number, scope, rows, compared, refused, differences
FROM reconciliations
ORDER BY id DESC
LIMIT 1;

-- name: differences
-- Values that still differ from the contracts', the oldest first.
SELECT table_name, row_id, column_name, view, ours, theirs
FROM reconciliation_differences
WHERE resolved_by IS NULL
ORDER BY reconciliation_id, table_name, row_id, column_name
LIMIT 5;

-- name: invariant_breaks
-- Sums that do not agree, the oldest first.
SELECT invariant, what, found, expected, first_block, last_block
FROM invariant_breaks
WHERE mended_block IS NULL
ORDER BY first_block, invariant, what
LIMIT 20;

-- name: quarantined
-- Pools that are frozen because they contradicted themselves, the oldest first.
SELECT coalesce(pool_id, address) AS pool_id, coalesce(pool_address, address) AS pool_address,
    name, last_event_block AS since_block, quarantine_reason AS reason
FROM contracts
WHERE quarantine_reason IS NOT NULL
ORDER BY last_event_block, address
LIMIT 20;

-- name: unknown_classes
-- Contracts whose class nobody knows, and how many pairs say so.
SELECT c.address, c.kind, c.class_hash,
    (SELECT count(DISTINCT p.pool_id) FROM vesu_pools p WHERE p.unknown_class = c.class_hash) AS pools
FROM contract_classes c
WHERE c.class_name IS NULL
ORDER BY c.kind, c.address
LIMIT 20;

-- name: unanswered_views
-- Views that no endpoint could answer, the newest first, and the pools that name the contract.
SELECT o.block_number, o.contract, o.view, ARRAY(
    SELECT DISTINCT a.pool_id FROM vesu_assets a
    WHERE a.asset_address = o.contract OR a.v_token = o.contract OR a.pool_address = o.contract
        AND a.pool_id = '0x' || lpad(ltrim(o.calldata[1], '0x'), 64, '0')
    ORDER BY a.pool_id
    LIMIT 20
) AS pools
FROM observations o
WHERE o.error = 'unanswered'
ORDER BY o.block_number DESC, o.contract, o.view
LIMIT 20;

-- name: prices
-- Prices of assets that are supplied or owed: how many are missing or not trusted, how old.
SELECT count(*) AS assets,
    count(*) FILTER (WHERE a.price IS NULL) AS missing,
    count(*) FILTER (WHERE NOT a.price_is_valid) AS invalid,
    count(*) FILTER (
        WHERE c.block_timestamp - a.price_timestamp > make_interval(secs => $1::double precision)
    ) AS stale,
    (SELECT max(block_number) FROM vesu_sampled_prices) AS sampled_block
FROM vesu_assets a
CROSS JOIN cursor c
WHERE a.total_collateral_shares > 0 OR a.total_nominal_debt > 0;

-- name: blocks_by_events_alone
-- Blocks whose header and receipts are still to be read in the background.
SELECT count(*) FROM blocks WHERE parent_hash IS NULL;
