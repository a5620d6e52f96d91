-- name: start
-- Watch a transaction.
SELECT start_watch($1);

-- name: start_as_owner
-- Watch a transaction as a role that has no rights on tables.
SELECT start_watch_as_owner($1);

-- name: read
-- One row: what the tables, the log and the watch know of a transaction.
SELECT a.transaction_hash,
    CASE
        WHEN e.block_number IS NOT NULL OR w.status IN ('confirmed', 'failed') THEN 'indexed'
        WHEN w.block_number IS NOT NULL THEN 'in_block'
        WHEN w.node_status IS NOT NULL AND w.node_status <> 'REJECTED' THEN 'received'
        ELSE 'not_seen'
    END AS seen,
    CASE WHEN e.block_number IS NOT NULL THEN 'confirmed' ELSE w.status END AS status,
    (SELECT count(*) FROM vesu_transactions t WHERE t.transaction_hash = a.transaction_hash)
        AS effects,
    COALESCE(e.block_number, w.block_number) AS block_number,
    COALESCE(e.block_hash, w.block_hash) AS block_hash,
    COALESCE(b.timestamp, w.block_time) AS block_time,
    (COALESCE(r.actual_fee, w.actual_fee) * 0.000000000000000001)::text
        AS gas_used,
    COALESCE(r.fee_unit, w.fee_unit) AS fee_unit,
    CASE
        WHEN e.block_number IS NOT NULL OR w.status IN ('pending', 'confirmed') THEN NULL
        WHEN w.status = 'failed' THEN COALESCE(w.revert_reason, 'reverted')
        WHEN w.status = 'dropped'
            THEN COALESCE(w.revert_reason, 'dropped: no node knows the transaction')
    END AS error_message,
    w.transaction_hash IS NOT NULL AS is_watched,
    w.node_status, w.started_at, w.asked_at, w.settled_at
FROM (SELECT $1::text AS transaction_hash) AS a
LEFT JOIN watches w ON w.transaction_hash = a.transaction_hash
LEFT JOIN LATERAL (
    SELECT block_number, transaction_index, block_hash
    FROM events
    WHERE transaction_hash = a.transaction_hash
    ORDER BY block_number, transaction_index, event_index
    LIMIT 1
) e ON true
LEFT JOIN blocks b ON b.number = e.block_number
LEFT JOIN receipts r
    ON r.block_number = e.block_number AND r.transaction_index = e.transaction_index;
