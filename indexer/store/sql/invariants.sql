-- name: collateral_shares
-- Shares of all positions of an asset, its fee shares and those burned at its creation = total.
WITH held AS (
    SELECT pool_id, pool_address, collateral_address AS asset_address,
        sum(collateral_shares) AS shares
    FROM vesu_positions
    GROUP BY pool_id, pool_address, collateral_address
),
burned AS (
    SELECT DISTINCT ON (pool_id, id) pool_id, id, total_collateral_shares AS shares
    FROM vesu_asset_history
    WHERE scale > 0
    ORDER BY pool_id, id, block_number, transaction_index, event_index
)
SELECT a.pool_address || ' ' || a.asset_address AS what,
    COALESCE(h.shares, 0) + a.fee_shares + COALESCE(b.shares, 0) AS found,
    a.total_collateral_shares AS expected
FROM vesu_assets a
LEFT JOIN held h USING (pool_id, pool_address, asset_address)
LEFT JOIN burned b ON (b.pool_id, b.id) = (a.pool_id, a.id);

-- name: nominal_debt
-- Nominal debt of all positions of an asset = its total.
WITH owed AS (
    SELECT pool_id, pool_address, debt_address AS asset_address, sum(nominal_debt) AS debt
    FROM vesu_positions
    WHERE debt_address IS NOT NULL
    GROUP BY pool_id, pool_address, debt_address
)
SELECT a.pool_address || ' ' || a.asset_address AS what,
    COALESCE(o.debt, 0) AS found,
    a.total_nominal_debt AS expected
FROM vesu_assets a
LEFT JOIN owed o USING (pool_id, pool_address, asset_address);

-- name: pair_shares
-- Shares of all positions of a pair = the pair's total.
SELECT p.pool_address || ' ' || p.collateral_address || ' ' || p.debt_address AS what,
    COALESCE(sum(h.collateral_shares), 0) AS found,
    p.pair_collateral_shares AS expected
FROM vesu_pools p
LEFT JOIN vesu_positions h ON (h.pool_id, h.pool_pair_id) = (p.pool_id, p.id)
GROUP BY p.pool_id, p.id, p.pool_address, p.collateral_address, p.debt_address,
    p.pair_collateral_shares;

-- name: pair_debt
-- Nominal debt of all positions of a pair = the pair's total.
SELECT p.pool_address || ' ' || p.collateral_address || ' ' || p.debt_address AS what,
    COALESCE(sum(h.nominal_debt), 0) AS found,
    p.pair_nominal_debt AS expected
FROM vesu_pools p
LEFT JOIN vesu_positions h ON (h.pool_id, h.pool_pair_id) = (p.pool_id, p.id)
GROUP BY p.pool_id, p.id, p.pool_address, p.collateral_address, p.debt_address,
    p.pair_nominal_debt;

-- name: v_token_supply
-- Balances of all holders of a vToken = the shares of the vToken's own position.
WITH balances AS (
    SELECT v_token, sum(vtoken_balance_raw) AS balance
    FROM vesu_positions
    WHERE kind = 'earn'
    GROUP BY v_token
),
backing AS (
    SELECT user_id AS v_token, sum(collateral_shares) AS shares
    FROM vesu_positions
    WHERE kind = 'system'
    GROUP BY user_id
)
SELECT c.address AS what,
    COALESCE(b.balance, 0) AS found,
    COALESCE(s.shares, 0) AS expected
FROM contracts c
LEFT JOIN balances b ON b.v_token = c.address
LEFT JOIN backing s ON s.v_token = c.address
WHERE c.kind = 'vtoken_v2';

-- name: v_token_flows
-- Transfers of a holding sum up to nothing over all holders of a vToken.
SELECT asset_address AS what, sum(amount_raw) AS found, 0::numeric AS expected
FROM vesu_transactions
WHERE type = 'transfer'
GROUP BY asset_address;

-- name: liquidations
-- Each liquidation's seized collateral and removed debt stand in vesu_transactions too.
SELECT l.transaction_hash || ' ' || l.event_index AS what,
    sum(t.amount_raw) AS found,
    -(l.collateral_seized_raw + l.debt_repaid_raw + l.bad_debt_raw) AS expected
FROM vesu_liquidations l
JOIN vesu_transactions t USING (pool_id, block_number, transaction_index, event_index)
GROUP BY l.pool_id, l.id, l.transaction_hash, l.event_index, l.collateral_seized_raw,
    l.debt_repaid_raw, l.bad_debt_raw;

-- name: unproved_blocks
-- Blocks with events of ours: how many, and how many were not proved complete.
SELECT count(*) AS blocks, count(*) FILTER (WHERE b.verified IS NOT TRUE) AS unproved
FROM blocks b
WHERE EXISTS (SELECT 1 FROM events e WHERE e.block_number = b.number);
