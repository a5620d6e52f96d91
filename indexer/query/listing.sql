-- name: plan_for_values
-- Until the end of the transaction plan each statement for its values. One plan for all values takes
-- a filter that nearly nothing passes for one that much passes, and reads a table to its end.
SET LOCAL plan_cache_mode = force_custom_plan;

-- name: transactions
-- What people did, up to a block.
SELECT *
FROM vesu_transactions
WHERE block_number <= $1;

-- name: liquidations
-- Liquidations up to a block, with the addresses of their assets.
SELECT l.*, p.collateral_address, p.debt_address
FROM vesu_liquidations l
JOIN vesu_positions p ON p.pool_id = l.pool_id AND p.id = l.position_id
WHERE l.block_number <= $1;

-- name: events
-- The raw log, decoded, up to a block: the view, and the numbers of layout and contract beside it.
SELECT l.block_number, l.transaction_index, l.event_index, b.hash AS block_hash,
    '0x' || encode(l.transaction_hash, 'hex') AS transaction_hash, m.address AS from_address,
    event_felts(l.keys) AS keys, event_felts(l.data) AS data, m.contract, y.name,
    event_args(l.keys, l.data, y.selectors, y.steps) AS args, l.decoded_as, l.emitter
FROM event_log l
LEFT JOIN event_emitters m ON m.id = l.emitter
LEFT JOIN event_layouts y ON y.id = l.decoded_as
LEFT JOIN blocks b ON b.number = l.block_number
WHERE l.block_number <= $1;

-- name: blocks
-- Stored blocks up to a block, and how many events of ours each holds.
SELECT b.number, b.hash, b.parent_hash, b.timestamp,
    CASE WHEN b.number <= h.finalised_block THEN 'accepted_l1' ELSE 'accepted_l2' END AS finality,
    (SELECT count(*) FROM event_log e WHERE e.block_number = b.number) AS events
FROM blocks b
LEFT JOIN chain_head h ON true
WHERE b.number <= $1;

-- name: reorgs
-- Rollbacks of this database; $1, the answer's block, bounds none of them.
SELECT *
FROM reorgs
WHERE $1::bigint IS NOT NULL;

-- name: event_prices
-- What events told of prices, up to a block.
SELECT asset_id, pool_id, pool_address, protocol, asset_address, block_number, block_hash,
    timestamp, price, is_valid, source
FROM vesu_event_prices
WHERE block_number <= $1;

-- name: sampled_prices
-- What was sampled of prices, up to a block.
SELECT asset_id, pool_id, pool_address, protocol, asset_address, block_number, block_hash,
    timestamp, price, is_valid, source
FROM vesu_sampled_prices
WHERE block_number <= $1;

-- name: positions
-- The newest version up to a block of every position.
SELECT c.id, c.pool_id, c.pool_address, c.protocol, c.user_id, c.kind, c.collateral_address,
    c.debt_address, c.v_token, c.created_at, c.is_listed, h.collateral_shares, h.nominal_debt,
    h.vtoken_balance_raw, h.status, h.migrated_block, h.changed_at, h.block_number
FROM vesu_positions c
CROSS JOIN LATERAL (
    SELECT *
    FROM position_versions v
    WHERE v.id = c.id AND v.block_number <= $1
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h;

-- name: positions_ever_of_status
-- The same of the positions that had one of the statuses $2, none of them active, by block $1.
SELECT c.id, c.pool_id, c.pool_address, c.protocol, c.user_id, c.kind, c.collateral_address,
    c.debt_address, c.v_token, c.created_at, c.is_listed, h.collateral_shares, h.nominal_debt,
    h.vtoken_balance_raw, h.status, h.migrated_block, h.changed_at, h.block_number
FROM vesu_positions c
CROSS JOIN LATERAL (
    SELECT *
    FROM position_versions v
    WHERE v.id = c.id AND v.block_number <= $1
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h
WHERE EXISTS (
    SELECT
    FROM position_versions v
    WHERE v.id = c.id AND v.status = ANY ($2::text[]) AND v.status <> 'active'
        AND v.block_number <= $1
);

-- name: unchanged_positions
-- The same of the positions that did not change after block $1, which at the newest block are all:
-- the rows as they stand.
SELECT c.id, c.pool_id, c.pool_address, c.protocol, c.user_id, c.kind, c.collateral_address,
    c.debt_address, c.v_token, c.created_at, c.is_listed, c.collateral_shares, c.nominal_debt,
    c.vtoken_balance_raw, c.status, c.migrated_block, c.last_updated AS changed_at,
    c.last_event_block AS block_number
FROM vesu_positions c
WHERE c.last_event_block <= $1;

-- name: changed_positions
-- The newest version up to block $1 of the positions that changed in the blocks from $2 to $3
-- (NULL: that changed after block $1).
SELECT c.id, c.pool_id, c.pool_address, c.protocol, c.user_id, c.kind, c.collateral_address,
    c.debt_address, c.v_token, c.created_at, c.is_listed, h.collateral_shares, h.nominal_debt,
    h.vtoken_balance_raw, h.status, h.migrated_block, h.changed_at, h.block_number
FROM (
    SELECT DISTINCT v.id
    FROM position_versions v
    WHERE v.block_number >= COALESCE($2::bigint, $1::bigint + 1)
        AND v.block_number <= COALESCE($3::bigint, 9223372036854775807)
) since
JOIN vesu_positions c ON c.id = since.id
CROSS JOIN LATERAL (
    SELECT *
    FROM position_versions v
    WHERE v.id = c.id AND v.block_number <= $1
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h;

-- name: positions_of
-- The newest version up to a block of the positions with these pool ids ($2) and ids ($3).
SELECT c.id, c.pool_id, c.pool_address, c.protocol, c.user_id, c.kind, c.collateral_address,
    c.debt_address, c.v_token, c.created_at, c.is_listed, h.collateral_shares, h.nominal_debt,
    h.vtoken_balance_raw, h.status, h.migrated_block, h.changed_at, h.block_number
FROM unnest($2::text[], $3::uuid[]) AS wanted (pool_id, id)
JOIN vesu_positions c ON c.pool_id = wanted.pool_id AND c.id = wanted.id
CROSS JOIN LATERAL (
    SELECT *
    FROM position_versions v
    WHERE v.id = c.id AND v.block_number <= $1
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h;
