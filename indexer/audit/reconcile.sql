-- name: block
-- A stored block by its number, and the committed one.
SELECT b.number, b.hash, b.timestamp, c.block_number AS committed, c.block_hash AS committed_hash,
    c.block_timestamp AS committed_at
FROM cursor c
LEFT JOIN blocks b ON b.number = COALESCE($1::bigint, c.block_number)
WHERE c.block_hash IS NOT NULL;

-- name: positions
-- Positions of a pool (id or contract) and user.
SELECT pool_id, id
FROM vesu_positions
WHERE ($1::text IS NULL OR $1 IN (pool_id, pool_address))
    AND ($2::text IS NULL OR user_id = $2);

-- name: sampled_positions
-- So many positions, chosen by a seed.
SELECT pool_id, id
FROM vesu_positions
WHERE ($1::text IS NULL OR $1 IN (pool_id, pool_address))
    AND ($2::text IS NULL OR user_id = $2)
ORDER BY md5($3::text || id::text)
LIMIT $4;

-- name: store
-- Keep what a check compared.
INSERT INTO reconciliations
    (origin, block_number, block_hash, committed_block, scope, pool, user_id, sample, seed, rows,
     asked, compared, refused, differences, views, seconds)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::text::jsonb, $16)
RETURNING id;

-- name: store_difference
-- Keep one value that differed.
INSERT INTO reconciliation_differences
    (reconciliation_id, table_name, row_id, column_name, version_block, version_transaction,
     version_event, view, contract, calldata, ours, theirs)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: age
-- Seconds since the last check of origin $1.
SELECT extract(epoch FROM clock_timestamp() - checked_at)::double precision
FROM reconciliations
WHERE origin = $1
ORDER BY id DESC
LIMIT 1;

-- name: count_standing
-- How many values are known to differ.
SELECT count(*) FROM reconciliation_differences WHERE resolved_by IS NULL;

-- name: standing
-- Rows of older differences that still stand.
SELECT DISTINCT row_id
FROM reconciliation_differences
WHERE resolved_by IS NULL AND reconciliation_id < $1;

-- name: resolve_equal
-- Close older differences whose values were found equal now: the very version that differed, or
-- one that the row has got since that check.
UPDATE reconciliation_differences d
SET resolved_by = $1
FROM reconciliations r,
    unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::int[], $7::int[],
        $8::text[], $9::text[])
    AS e (table_name, row_id, column_name, block, transaction, event, view, contract)
WHERE d.resolved_by IS NULL
    AND d.reconciliation_id < $1
    AND r.id = d.reconciliation_id
    AND (d.table_name, d.row_id, d.column_name, d.view, d.contract)
        = (e.table_name, e.row_id, e.column_name, e.view, e.contract)
    AND (
        (d.version_block, d.version_transaction, d.version_event)
            IS NOT DISTINCT FROM (e.block, e.transaction, e.event)
        OR e.block > r.committed_block
    );

-- name: resolve_repeated
-- Close older differences that this check found again: it lists them itself.
UPDATE reconciliation_differences d
SET resolved_by = $1
FROM reconciliation_differences n
WHERE n.reconciliation_id = $1
    AND d.resolved_by IS NULL
    AND d.reconciliation_id < $1
    AND (d.table_name, d.row_id, d.column_name, d.view, d.contract)
        = (n.table_name, n.row_id, n.column_name, n.view, n.contract)
    AND (d.version_block, d.version_transaction, d.version_event)
        IS NOT DISTINCT FROM (n.version_block, n.version_transaction, n.version_event);

-- name: resolve_gone
-- Close differences of checks before $1 in rows that a reorganisation or a replay took out: by
-- check $1, or (NULL) each by its own, after a rollback.
UPDATE reconciliation_differences d
SET resolved_by = COALESCE($1::bigint, d.reconciliation_id)
WHERE d.resolved_by IS NULL
    AND ($1::bigint IS NULL OR d.reconciliation_id < $1)
    AND NOT EXISTS (
        SELECT 1 FROM vesu_positions r
        WHERE d.version_block IS NULL AND d.table_name = 'vesu_positions'
            AND r.id::text = d.row_id
        UNION ALL
        SELECT 1 FROM vesu_assets r
        WHERE d.version_block IS NULL AND d.table_name = 'vesu_assets' AND r.id::text = d.row_id
        UNION ALL
        SELECT 1 FROM vesu_pools r
        WHERE d.version_block IS NULL AND d.table_name = 'vesu_pools' AND r.id::text = d.row_id
        UNION ALL
        SELECT 1 FROM contracts r
        WHERE d.version_block IS NULL AND d.table_name = 'contracts'
            AND r.address || ' ' || r.kind = d.row_id
        UNION ALL
        SELECT 1 FROM vesu_position_history h
        WHERE d.table_name = 'vesu_position_history' AND h.id::text = d.row_id
            AND (h.block_number, h.transaction_index, h.event_index)
                = (d.version_block, d.version_transaction, d.version_event)
        UNION ALL
        SELECT 1 FROM vesu_asset_history h
        WHERE d.table_name = 'vesu_asset_history' AND h.id::text = d.row_id
            AND (h.block_number, h.transaction_index, h.event_index)
                = (d.version_block, d.version_transaction, d.version_event)
        UNION ALL
        SELECT 1 FROM vesu_pool_history h
        WHERE d.table_name = 'vesu_pool_history' AND h.id::text = d.row_id
            AND (h.block_number, h.transaction_index, h.event_index)
                = (d.version_block, d.version_transaction, d.version_event)
        UNION ALL
        SELECT 1 FROM contract_history h
        WHERE d.table_name = 'contract_history' AND h.address || ' ' || h.kind = d.row_id
            AND (h.block_number, h.transaction_index, h.event_index)
                = (d.version_block, d.version_transaction, d.version_event)
    );

-- name: note_failure
-- Remember that a check could not be done, and how often in a row.
INSERT INTO check_failures AS f (name, reason, failures, may_pass)
VALUES ($1, $2, 1, $3)
ON CONFLICT (name) DO UPDATE
SET reason = excluded.reason,
    failures = f.failures + 1,
    may_pass = f.may_pass AND excluded.may_pass,
    last_failed_at = clock_timestamp();

-- name: note_done
-- A check was done: nothing is left of its failures.
DELETE FROM check_failures WHERE name = $1;
