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

-- name: effects
-- What people moved, donations and fees make up each asset's reserve, from its first state on.
WITH moved AS (
    SELECT pool_id, asset_address,
        sum(CASE WHEN type IN ('borrow', 'repay') THEN -amount_raw ELSE amount_raw END) AS amount
    FROM vesu_transactions
    WHERE type IN ('supply', 'withdraw', 'borrow', 'repay')
    GROUP BY pool_id, asset_address
),
seized AS (
    SELECT l.pool_id, p.collateral_address AS asset_address, -sum(l.collateral_seized_raw) AS amount
    FROM vesu_liquidations l
    JOIN vesu_positions p ON (p.pool_id, p.id) = (l.pool_id, l.position_id)
    GROUP BY l.pool_id, p.collateral_address
),
repaid AS (
    SELECT l.pool_id, p.debt_address AS asset_address, sum(l.debt_repaid_raw) AS amount
    FROM vesu_liquidations l
    JOIN vesu_positions p ON (p.pool_id, p.id) = (l.pool_id, l.position_id)
    GROUP BY l.pool_id, p.debt_address
),
given AS (
    SELECT from_address AS pool_id, args ->> 'asset' AS asset_address,
        sum(CASE name
            WHEN 'Donate' THEN (args ->> 'amount')::numeric
            ELSE -(args ->> 'fee_amount')::numeric
        END) AS amount
    FROM events
    WHERE contract = 'pool_v2' AND name IN ('Donate', 'ClaimFees')
    GROUP BY from_address, args ->> 'asset'
),
first AS (
    SELECT DISTINCT ON (pool_id, id) pool_id, asset_address, reserve AS amount
    FROM vesu_asset_history
    WHERE scale > 0
    ORDER BY pool_id, id, block_number, transaction_index, event_index
),
flows AS (
    SELECT pool_id, asset_address, sum(amount) AS amount
    FROM (
        SELECT * FROM moved
        UNION ALL SELECT * FROM seized
        UNION ALL SELECT * FROM repaid
        UNION ALL SELECT * FROM given
        UNION ALL SELECT * FROM first
    ) parts
    GROUP BY pool_id, asset_address
)
SELECT a.protocol || ' ' || a.pool_id || ' ' || a.asset_address AS what,
    COALESCE(f.amount, 0) AS found,
    a.reserve AS expected
FROM vesu_assets a
LEFT JOIN flows f USING (pool_id, asset_address)
WHERE a.protocol = 'v2';

-- name: touched
-- The sums of these assets (pool ids, assets): shares and nominal debt of all positions.
WITH held AS (
    SELECT p.pool_id, p.pool_address, p.collateral_address, p.debt_address,
        p.collateral_shares, p.nominal_debt
    FROM vesu_positions p
    WHERE p.pool_id = ANY ($1::text[])
    UNION ALL
    SELECT p.pool_id, c.successor, p.collateral_address, p.debt_address,
        p.collateral_shares, p.nominal_debt
    FROM vesu_positions p
    JOIN contracts c ON c.pool_id = p.pool_id AND c.pool_address = p.pool_address
    WHERE p.pool_id = ANY ($1::text[])
        AND c.kind = 'pool_v1_0' AND c.successor IS NOT NULL AND p.migrated_block IS NULL
),
shares AS (
    SELECT pool_id, pool_address, collateral_address AS asset_address,
        sum(collateral_shares) AS shares
    FROM held
    GROUP BY pool_id, pool_address, collateral_address
),
debts AS (
    SELECT pool_id, pool_address, debt_address AS asset_address, sum(nominal_debt) AS debt
    FROM held
    GROUP BY pool_id, pool_address, debt_address
),
wanted AS (
    SELECT a.*, a.protocol || ' ' || a.pool_id || ' ' || a.asset_address AS what
    FROM vesu_assets a
    JOIN unnest($1::text[], $2::text[]) AS w (pool_id, asset_address)
        USING (pool_id, asset_address)
)
SELECT 'collateral_shares' AS invariant, w.what,
    COALESCE(s.shares, 0) + w.fee_shares + w.unowned_shares AS found,
    w.total_collateral_shares AS expected
FROM wanted w
LEFT JOIN shares s USING (pool_id, pool_address, asset_address)
UNION ALL
SELECT 'nominal_debt', w.what, COALESCE(d.debt, 0), w.total_nominal_debt
FROM wanted w
LEFT JOIN debts d USING (pool_id, pool_address, asset_address);

-- name: note_break
-- Remember a sum that does not agree; true: it is a new one.
WITH standing AS (
    UPDATE invariant_breaks
    SET found = $3, expected = $4, last_block = $5
    WHERE invariant = $1 AND what = $2 AND mended_block IS NULL
    RETURNING 1
),
added AS (
    INSERT INTO invariant_breaks (invariant, what, found, expected, first_block, last_block)
    SELECT $1, $2, $3, $4, $5, $5
    WHERE NOT EXISTS (SELECT 1 FROM standing)
    ON CONFLICT (invariant, what, first_block) DO UPDATE
    SET (found, expected, last_block, mended_block)
        = (excluded.found, excluded.expected, excluded.last_block, NULL)
    RETURNING 1
)
SELECT EXISTS (SELECT 1 FROM added);

-- name: note_mended
-- Remember that sums agree again; how many others still do not.
WITH mended AS (
    UPDATE invariant_breaks b
    SET mended_block = $3
    FROM unnest($1::text[], $2::text[]) AS a (invariant, what)
    WHERE b.mended_block IS NULL AND (b.invariant, b.what) = (a.invariant, a.what)
    RETURNING 1
)
SELECT (SELECT count(*) FROM invariant_breaks WHERE mended_block IS NULL)
    - (SELECT count(*) FROM mended);

-- name: standing
-- Sums that do not agree.
SELECT invariant, what FROM invariant_breaks WHERE mended_block IS NULL;

-- name: break_again
-- Sums that stood at a block and agreed again only above it: they may stand again.
UPDATE invariant_breaks
SET mended_block = NULL, last_block = LEAST(last_block, $1)
WHERE first_block <= $1 AND mended_block > $1;

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

-- name: valued_above
-- No active position is valued above the committed block. They are counted only where the highest
-- is: PostgreSQL expects a third of the table, and would start workers to count none.
SELECT 'valued_above' AS invariant, 'vesu_positions' AS what,
    CASE
        WHEN (SELECT max(valued_at_block) FROM vesu_positions WHERE status = 'active')
            > (SELECT block_number FROM cursor)
        THEN (
            SELECT count(*)::numeric
            FROM vesu_positions
            WHERE status = 'active' AND valued_at_block > (SELECT block_number FROM cursor)
        )
        ELSE 0
    END AS found,
    0::numeric AS expected;
