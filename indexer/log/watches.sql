-- name: newest_reorg
-- The newest rollback; 0: none yet.
SELECT COALESCE(max(id), 0) FROM reorgs;

-- name: due
-- Transactions whose turn it is, or whose block is committed now; those that were dropped last.
SELECT transaction_hash
FROM watches
WHERE ask_at <= now()
    OR (status = 'pending' AND block_number <= (SELECT c.block_number FROM cursor c))
ORDER BY status = 'dropped', ask_at, transaction_hash
LIMIT $1;

-- name: make_due
-- It is everyone's turn who is not decided.
UPDATE watches SET ask_at = now() WHERE status = 'pending';

-- name: note_unknown
-- The node does not know these: dropped after $2 seconds, asked about less and less, a day long.
WITH aged AS (
    SELECT transaction_hash, status,
        EXTRACT(EPOCH FROM now() - GREATEST(started_at, seen_at))::double precision AS age
    FROM watches
    WHERE transaction_hash = ANY ($1::text[]) AND status IN ('pending', 'dropped')
)
UPDATE watches w
SET asked_at = now(),
    node_status = NULL,
    block_number = NULL,
    block_hash = NULL,
    actual_fee = NULL,
    fee_unit = NULL,
    status = CASE WHEN aged.age >= $2 THEN 'dropped' ELSE w.status END,
    settled_at = CASE
        WHEN aged.age >= $2 AND w.status = 'pending' THEN now() ELSE w.settled_at END,
    ask_at = CASE
        WHEN aged.age < $2 THEN now() + make_interval(secs => LEAST(aged.age / 10, 60))
        WHEN aged.age < GREATEST(10 * $2::double precision, 86400)
            THEN now() + make_interval(secs => LEAST(aged.age / 10, 600))
    END
FROM aged
WHERE w.transaction_hash = aged.transaction_hash AND w.status = aged.status;

-- name: note_known
-- The node knows it, in no block of the tables. What the sequencer rejected is dropped: it may be
-- sent again.
UPDATE watches
SET asked_at = now(),
    seen_at = now(),
    node_status = $2,
    status = CASE WHEN $2::text = 'REJECTED' THEN 'dropped' ELSE 'pending' END,
    settled_at = CASE WHEN $2 = 'REJECTED' THEN now() END,
    block_number = $3,
    block_hash = $4,
    actual_fee = $5,
    fee_unit = $6,
    revert_reason = $7,
    ask_at = now() + make_interval(
        secs => LEAST(EXTRACT(EPOCH FROM now() - started_at)::double precision / 10, 10))
WHERE transaction_hash = $1 AND status IN ('pending', 'dropped');

-- name: settle
-- A block of the tables holds it.
UPDATE watches
SET asked_at = now(),
    seen_at = now(),
    settled_at = now(),
    ask_at = NULL,
    node_status = $2,
    status = $3,
    block_number = $4,
    block_hash = $5,
    block_time = $6,
    actual_fee = $7,
    fee_unit = $8,
    revert_reason = $9,
    reorg_id = $10
WHERE transaction_hash = $1 AND status IN ('pending', 'dropped');

-- name: take_back
-- What blocks above a height decided is pending again.
UPDATE watches
SET (status, settled_at, ask_at, seen_at, node_status, block_number, block_hash, block_time,
     actual_fee, fee_unit, revert_reason, reorg_id)
    = ('pending', NULL, now(), now(), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
WHERE block_number > $1 AND status IN ('confirmed', 'failed');

-- name: take_back_missed
-- What a rollback of the last hour took away and did not see, because both were under way.
UPDATE watches w
SET (status, settled_at, ask_at, seen_at, node_status, block_number, block_hash, block_time,
     actual_fee, fee_unit, revert_reason, reorg_id)
    = ('pending', NULL, now(), now(), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
FROM reorgs r
WHERE r.detected_at > now() - interval '1 hour'
    AND w.block_number > r.ancestor_number
    AND w.reorg_id < r.id
    AND w.status IN ('confirmed', 'failed');

-- name: pending
-- How many transactions are watched and not decided.
SELECT count(*) FROM watches WHERE status = 'pending';
