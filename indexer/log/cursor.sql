-- name: create
-- Make the cursor of a new database.
INSERT INTO cursor (chain_id, start_block, block_number, fold_version)
VALUES ($1, $2::bigint, $2::bigint - 1, $3)
ON CONFLICT (singleton) DO NOTHING;

-- name: read
-- The cursor.
SELECT chain_id, start_block, block_number, block_hash, block_timestamp, fork_counter,
    fold_version, generation, writer_token
FROM cursor;

-- name: committed
-- Chain and committed block: what the cursor has had in every version of the schema.
SELECT chain_id, block_number, block_hash FROM cursor;

-- name: raise_token
-- Raise the token: whoever wrote until now writes no more.
UPDATE cursor SET writer_token = writer_token + 1;

-- name: swap
-- Move the cursor if it still stands where the writer thinks, and no later writer has opened it.
UPDATE cursor
SET block_number = $3,
    block_hash = $4,
    block_timestamp = $5,
    fork_counter = $6,
    committed_at = clock_timestamp()
WHERE block_number = $1 AND block_hash IS NOT DISTINCT FROM $2 AND generation = $7
    AND writer_token = $8
RETURNING chain_id, start_block, block_number, block_hash, block_timestamp, fork_counter,
    fold_version, generation, writer_token;

-- name: keep
-- Lock the cursor if it still stands where the writer thinks, and no later writer has opened it.
-- What the transaction writes follows from what is committed: its commit waits for no disk.
SELECT block_number, set_config('synchronous_commit', 'off', true)
FROM cursor
WHERE block_number = $1 AND block_hash IS NOT DISTINCT FROM $2 AND generation = $3
    AND writer_token = $4
FOR NO KEY UPDATE;

-- name: note_head
-- Remember the head that the node told, if no later writer has opened the cursor; what was final
-- once stays it, whatever a node says later. The disk is waited for where a higher block is final;
-- else a crash may forget what the next look asks again.
WITH disk AS (
    SELECT set_config(
        'synchronous_commit',
        CASE WHEN $4::bigint > COALESCE((SELECT finalised_block FROM chain_head), -1)
            THEN current_setting('synchronous_commit') ELSE 'off' END,
        true
    ) AS waited_for
)
INSERT INTO chain_head (block_number, block_hash, block_timestamp, finalised_block, seen_at)
SELECT $1::bigint, $2::text, $3::timestamptz, $4::bigint, clock_timestamp()
FROM cursor, disk
WHERE writer_token = $5 AND disk.waited_for IS NOT NULL
ON CONFLICT (singleton) DO UPDATE
SET (block_number, block_hash, block_timestamp, finalised_block, seen_at)
    = (excluded.block_number, excluded.block_hash, excluded.block_timestamp,
       GREATEST(excluded.finalised_block, chain_head.finalised_block), excluded.seen_at)
RETURNING finalised_block;

-- name: note_suspicion
-- Remember why the chain is doubted, and since when; NULL: it is not.
UPDATE chain_head
SET suspect_reason = $1::text,
    suspect_since = CASE
        WHEN $1::text IS NOT NULL THEN COALESCE(suspect_since, clock_timestamp())
    END
WHERE suspect_reason IS DISTINCT FROM $1::text
    AND EXISTS (SELECT FROM cursor WHERE writer_token = $2);

-- name: lower_final
-- Nothing above a block counts as final any more: the operator said so.
UPDATE chain_head
SET finalised_block = $1
WHERE finalised_block > $1 AND EXISTS (SELECT FROM cursor WHERE writer_token = $2);

-- name: notify
-- Tell listeners that a block was committed.
SELECT pg_notify('vesu_blocks', $1);

-- name: final
-- The highest block told as accepted on L1.
SELECT finalised_block FROM chain_head;

-- name: head
-- The head that the node last told.
SELECT block_number FROM chain_head;

-- name: hold
-- Keep the writer from moving the cursor until the transaction ends.
SELECT block_number FROM cursor FOR UPDATE;
