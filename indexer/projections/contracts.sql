-- name: upsert
-- Write current rows; an older version of a row is replaced.
INSERT INTO contracts
SELECT * FROM json_populate_recordset(NULL::contracts, $1::text::json)
ON CONFLICT (address, kind) DO UPDATE
SET (
    pool_address, pool_id, asset_address, debt_address, name, symbol, owner, curator, oracle,
    fee_recipient, pausing_agent, class_hash, extension, successor, variants, is_paused, is_current, created_block, created_at,
    last_event_block
) = (
    excluded.pool_address, excluded.pool_id, excluded.asset_address, excluded.debt_address,
    excluded.name, excluded.symbol, excluded.owner, excluded.curator, excluded.oracle,
    excluded.fee_recipient, excluded.pausing_agent, excluded.class_hash, excluded.extension, excluded.successor, excluded.variants, excluded.is_paused,
    excluded.is_current, excluded.created_block, excluded.created_at, excluded.last_event_block
);

-- name: load
-- All contracts.
SELECT
    address, kind, pool_address, pool_id, asset_address, debt_address, name, symbol, owner, curator,
    oracle, fee_recipient, pausing_agent, class_hash, extension, successor, variants, is_paused, is_current, created_block,
    created_at,
    last_event_block AS block_number
FROM contracts;

-- name: drop_history
-- Forget the versions above a block; returns the rows they belonged to.
DELETE FROM contract_history WHERE block_number > $1 RETURNING address, kind;

-- name: latest
-- The newest version that is left of each of these contracts.
SELECT DISTINCT ON (address, kind)
    address, kind, pool_address, pool_id, asset_address, debt_address, name, symbol, owner, curator,
    oracle, fee_recipient, pausing_agent, class_hash, extension, successor, variants, is_paused, is_current, created_block,
    created_at,
    block_number
FROM contract_history
JOIN unnest($1::text[], $2::text[]) AS wanted (address, kind) USING (address, kind)
ORDER BY address, kind, block_number DESC, transaction_index DESC, event_index DESC;

-- name: delete
-- Take contracts out that no version is left of.
DELETE FROM contracts t
USING unnest($1::text[], $2::text[]) AS gone (address, kind)
WHERE t.address = gone.address AND t.kind = gone.kind;
