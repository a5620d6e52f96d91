-- name: read
-- The configured contracts whose events the database holds.
SELECT address, kind, from_block, read_since, class_hash, is_history_read
FROM configured_contracts
ORDER BY address;

-- name: clear
-- Forget them, where nothing is committed yet.
DELETE FROM configured_contracts;

-- name: put
-- Remember a configured contract; what its class is stays known.
INSERT INTO configured_contracts (address, kind, from_block, read_since, is_history_read)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (address) DO UPDATE
SET kind = excluded.kind,
    from_block = excluded.from_block,
    read_since = excluded.read_since,
    is_history_read = excluded.is_history_read;

-- name: note_class
-- Remember the class that stood at the address.
UPDATE configured_contracts SET class_hash = $2 WHERE address = $1;

-- name: holds_event
-- Whether the log holds an event.
SELECT EXISTS (
    SELECT FROM event_log
    WHERE block_number = $1 AND transaction_index = $2 AND event_index = $3
);

-- name: first_event
-- The first block with an event of a contract.
SELECT min(block_number)
FROM event_log
WHERE emitter = ANY (ARRAY(SELECT id FROM event_emitters WHERE address = $1));

-- name: lower_start
-- The log begins at a lower block; a cursor that holds no block goes there with it.
UPDATE cursor
SET start_block = $1::bigint,
    block_number = CASE WHEN block_hash IS NULL THEN $1::bigint - 1 ELSE block_number END
WHERE start_block > $1::bigint AND writer_token = $2
RETURNING block_number;
