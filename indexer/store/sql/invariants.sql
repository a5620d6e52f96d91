-- name: collateral_shares
-- Shares of all positions of an asset, its fee shares and those that nobody holds = its total.
WITH held AS (
    SELECT p.pool_id, p.pool_address, p.collateral_address AS asset_address,
        p.collateral_shares AS shares
    FROM vesu_positions p
    UNION ALL
    -- What V1.1 took over counts there, until it migrates under the V1.0 position's key.
    SELECT p.pool_id, c.successor, p.collateral_address, p.collateral_shares
    FROM vesu_positions p
    JOIN contracts c ON c.pool_id = p.pool_id AND c.pool_address = p.pool_address
    WHERE c.kind = 'pool_v1_0' AND c.successor IS NOT NULL AND p.migrated_block IS NULL
),
sums AS (
    SELECT pool_id, pool_address, asset_address, sum(shares) AS shares
    FROM held
    GROUP BY pool_id, pool_address, asset_address
)
SELECT a.protocol || ' ' || a.pool_id || ' ' || a.asset_address AS what,
    COALESCE(s.shares, 0) + a.fee_shares + a.unowned_shares AS found,
    a.total_collateral_shares AS expected
FROM vesu_assets a
LEFT JOIN sums s USING (pool_id, pool_address, asset_address);

-- name: nominal_debt
-- Nominal debt of all positions of an asset = its total.
WITH owed AS (
    SELECT p.pool_id, p.pool_address, p.debt_address AS asset_address, p.nominal_debt AS debt
    FROM vesu_positions p
    WHERE p.debt_address IS NOT NULL
    UNION ALL
    SELECT p.pool_id, c.successor, p.debt_address, p.nominal_debt
    FROM vesu_positions p
    JOIN contracts c ON c.pool_id = p.pool_id AND c.pool_address = p.pool_address
    WHERE p.debt_address IS NOT NULL
        AND c.kind = 'pool_v1_0' AND c.successor IS NOT NULL AND p.migrated_block IS NULL
),
sums AS (
    SELECT pool_id, pool_address, asset_address, sum(debt) AS debt
    FROM owed
    GROUP BY pool_id, pool_address, asset_address
)
SELECT a.protocol || ' ' || a.pool_id || ' ' || a.asset_address AS what,
    COALESCE(s.debt, 0) AS found,
    a.total_nominal_debt AS expected
FROM vesu_assets a
LEFT JOIN sums s USING (pool_id, pool_address, asset_address);

-- name: pair_shares
-- Shares of all positions of a pair = the pair's total, which leaves V1's inflation fee out.
WITH held AS (
    SELECT p.pool_id, p.pool_address, p.collateral_address, p.debt_address,
        p.collateral_shares AS shares
    FROM vesu_positions p
    WHERE p.user_id <> '0x' || repeat('0', 64)
    UNION ALL
    SELECT p.pool_id, c.successor, p.collateral_address, p.debt_address, p.collateral_shares
    FROM vesu_positions p
    JOIN contracts c ON c.pool_id = p.pool_id AND c.pool_address = p.pool_address
    WHERE c.kind = 'pool_v1_0' AND c.successor IS NOT NULL AND p.migrated_block IS NULL
        AND p.user_id <> '0x' || repeat('0', 64)
),
sums AS (
    SELECT pool_id, pool_address, collateral_address, debt_address, sum(shares) AS shares
    FROM held
    GROUP BY pool_id, pool_address, collateral_address, debt_address
)
SELECT p.protocol || ' ' || p.pool_id || ' ' || p.collateral_address || ' ' || p.debt_address
        AS what,
    COALESCE(s.shares, 0) AS found,
    p.pair_collateral_shares AS expected
FROM vesu_pools p
LEFT JOIN sums s USING (pool_id, pool_address, collateral_address, debt_address);

-- name: pair_debt
-- Nominal debt of all positions of a pair = the pair's total.
WITH owed AS (
    SELECT p.pool_id, p.pool_address, p.collateral_address, p.debt_address,
        p.nominal_debt AS debt
    FROM vesu_positions p
    UNION ALL
    SELECT p.pool_id, c.successor, p.collateral_address, p.debt_address, p.nominal_debt
    FROM vesu_positions p
    JOIN contracts c ON c.pool_id = p.pool_id AND c.pool_address = p.pool_address
    WHERE c.kind = 'pool_v1_0' AND c.successor IS NOT NULL AND p.migrated_block IS NULL
),
sums AS (
    SELECT pool_id, pool_address, collateral_address, debt_address, sum(debt) AS debt
    FROM owed
    GROUP BY pool_id, pool_address, collateral_address, debt_address
)
SELECT p.protocol || ' ' || p.pool_id || ' ' || p.collateral_address || ' ' || p.debt_address
        AS what,
    COALESCE(s.debt, 0) AS found,
    p.pair_nominal_debt AS expected
FROM vesu_pools p
LEFT JOIN sums s USING (pool_id, pool_address, collateral_address, debt_address);

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
-- V2: transfers of a holding sum up to nothing over all holders of a vToken. In V1 they also
-- stand for positions wrapped and unwrapped.
SELECT t.asset_address AS what, sum(t.amount_raw) AS found, 0::numeric AS expected
FROM vesu_transactions t
JOIN contracts c ON c.address = t.asset_address AND c.kind = 'vtoken_v2'
WHERE t.type = 'transfer'
GROUP BY t.asset_address;

-- name: v_token_backing
-- V1: an extension's position holds at least what its vTokens of this generation stand for.
WITH balances AS (
    SELECT p.v_token, sum(p.vtoken_balance_raw) AS balance
    FROM vesu_positions p
    WHERE p.v_token IS NOT NULL
    GROUP BY p.v_token
),
backing AS (
    SELECT p.pool_id, p.pool_address, p.collateral_address,
        sum(p.collateral_shares) AS shares
    FROM vesu_positions p
    WHERE p.kind = 'system' AND p.v_token IS NULL
        AND p.debt_address = '0x' || repeat('0', 64)
        AND p.user_id <> '0x' || repeat('0', 64)
    GROUP BY p.pool_id, p.pool_address, p.collateral_address
)
SELECT v.address AS what,
    LEAST(COALESCE(s.shares, 0), COALESCE(b.balance, 0)) AS found,
    COALESCE(b.balance, 0) AS expected
FROM contracts v
JOIN contracts pool ON pool.pool_id = v.pool_id AND pool.pool_address = v.pool_address
    AND pool.kind IN ('pool_v1_0', 'pool_v1_1')
LEFT JOIN balances b ON b.v_token = v.address
LEFT JOIN backing s ON s.pool_id = v.pool_id AND s.pool_address = v.pool_address
    AND s.collateral_address = v.asset_address
WHERE v.kind IN ('vtoken_v1_0', 'vtoken_v1_1');

-- name: liquidations
-- Each liquidation's seized collateral and removed debt stand in vesu_transactions too.
SELECT l.transaction_hash || ' ' || l.event_index AS what,
    sum(t.amount_raw) AS found,
    -(l.collateral_seized_raw + l.debt_repaid_raw + l.bad_debt_raw) AS expected
FROM vesu_liquidations l
JOIN vesu_transactions t USING (pool_id, block_number, transaction_index, event_index)
WHERE t.type = 'liquidation'
GROUP BY l.pool_id, l.id, l.transaction_hash, l.event_index, l.collateral_seized_raw,
    l.debt_repaid_raw, l.bad_debt_raw;
