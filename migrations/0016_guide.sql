-- The schema of applications that are written by the users' guide: its four tables as views.
-- depends: 0015_watches
CREATE SCHEMA IF NOT EXISTS vesu_guide;
COMMENT ON SCHEMA vesu_guide IS 'The tables of the users'' guide for its applications: ALTER ROLE app SET search_path = vesu_guide, public.';

CREATE TABLE vesu_guide.users (
    user_id uuid PRIMARY KEY,
    wallet_address text,
    address text GENERATED ALWAYS AS (padded_felt(wallet_address)) STORED UNIQUE
);
COMMENT ON TABLE vesu_guide.users IS 'The application''s users and their wallets, written by the application. A wallet that is not here has the uuid v5 of its address as its user.';
COMMENT ON COLUMN vesu_guide.users.user_id IS 'The application''s id of the user.';
COMMENT ON COLUMN vesu_guide.users.wallet_address IS 'The user''s wallet, as the application writes it: any case, with or without leading zeros; NULL: none yet.';
COMMENT ON COLUMN vesu_guide.users.address IS 'The same address as all tables hold it, 0x and 64 lower-case hex digits.';

CREATE TABLE vesu_guide.submissions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    transaction_hash text NOT NULL REFERENCES watches (transaction_hash),
    type text NOT NULL CHECK (type IN ('supply', 'borrow', 'repay', 'withdraw', 'liquidation', 'transfer')),
    asset text NOT NULL CHECK (length(asset) <= 100),
    position_id uuid,
    user_id uuid NOT NULL,
    amount numeric NOT NULL CHECK (amount >= 0),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'failed')),
    error_message text CHECK (length(error_message) <= 10000),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE vesu_guide.submissions IS 'Rows that the application inserted into vesu_guide.vesu_transactions: what it says that a transaction will do. Each is shown until the chain''s own row of this hash, type and asset is there, and then keeps its id beside the chain''s numbers.';
COMMENT ON COLUMN vesu_guide.submissions.id IS 'The application''s id of the row.';
COMMENT ON COLUMN vesu_guide.submissions.transaction_hash IS 'Hash of the transaction, 0x and 64 hex digits; a row of watches follows it.';
COMMENT ON COLUMN vesu_guide.submissions.type IS 'supply, borrow, repay, withdraw, liquidation or transfer.';
COMMENT ON COLUMN vesu_guide.submissions.asset IS 'Symbol of the asset.';
COMMENT ON COLUMN vesu_guide.submissions.position_id IS 'Position that the application names; NULL: none.';
COMMENT ON COLUMN vesu_guide.submissions.user_id IS 'User that the application names.';
COMMENT ON COLUMN vesu_guide.submissions.amount IS 'Amount that the application names, token units.';
COMMENT ON COLUMN vesu_guide.submissions.status IS 'pending, or failed where the application says so; what the chain says goes before it.';
COMMENT ON COLUMN vesu_guide.submissions.error_message IS 'Why it failed, in the application''s words; NULL: it does not say so.';
COMMENT ON COLUMN vesu_guide.submissions.created_at IS 'Wall-clock time at which the application made the row.';
COMMENT ON COLUMN vesu_guide.submissions.updated_at IS 'Wall-clock time at which it last changed the row.';
CREATE UNIQUE INDEX submissions_once ON vesu_guide.submissions (transaction_hash, type, lower(asset));
CREATE INDEX idx_submissions_user_id ON vesu_guide.submissions (user_id);
CREATE INDEX idx_submissions_position_id ON vesu_guide.submissions (position_id);

CREATE VIEW vesu_guide.vesu_pools AS
SELECT
    p.id,
    p.pool_address,
    p.collateral_asset,
    p.debt_asset,
    p.max_ltv,
    p.liquidation_threshold,
    p.liquidation_bonus,
    p.total_supply,
    p.total_borrow,
    p.supply_apy,
    p.borrow_apy,
    p.is_active,
    p.last_synced_at AS last_synced,
    p.created_at,
    p.last_synced_at AS updated_at,
    NULL::timestamptz AS deleted_at,
    p.pool_id
FROM vesu_pools p;
COMMENT ON VIEW vesu_guide.vesu_pools IS 'VesuPool of the users'' guide: one row per pool and (collateral, debt) pair.';
COMMENT ON COLUMN vesu_guide.vesu_pools.id IS 'As in public.vesu_pools.';
COMMENT ON COLUMN vesu_guide.vesu_pools.pool_address IS 'Contract that holds the pool; a V1 singleton holds several, told apart by pool_id.';
COMMENT ON COLUMN vesu_guide.vesu_pools.collateral_asset IS 'Symbol of the collateral asset; NULL: not known.';
COMMENT ON COLUMN vesu_guide.vesu_pools.debt_asset IS 'Symbol of the debt asset; NULL: not known.';
COMMENT ON COLUMN vesu_guide.vesu_pools.max_ltv IS 'Maximum loan-to-value of the pair, 0.75 = 75 %.';
COMMENT ON COLUMN vesu_guide.vesu_pools.liquidation_threshold IS 'LTV from which a position may be liquidated: in Vesu the same as max_ltv.';
COMMENT ON COLUMN vesu_guide.vesu_pools.liquidation_bonus IS 'What a liquidator earns: 1 / liquidation factor - 1.';
COMMENT ON COLUMN vesu_guide.vesu_pools.total_supply IS 'Supply of the debt asset''s market in token units at last_synced.';
COMMENT ON COLUMN vesu_guide.vesu_pools.total_borrow IS 'Debt of the debt asset''s market in token units at last_synced.';
COMMENT ON COLUMN vesu_guide.vesu_pools.supply_apy IS 'Yearly yield of supplying the debt asset.';
COMMENT ON COLUMN vesu_guide.vesu_pools.borrow_apy IS 'Yearly cost of borrowing the debt asset.';
COMMENT ON COLUMN vesu_guide.vesu_pools.is_active IS 'Configured and not paused.';
COMMENT ON COLUMN vesu_guide.vesu_pools.last_synced IS 'Block time of the last change of the pair or of one of its markets: last_synced_at of public.vesu_pools.';
COMMENT ON COLUMN vesu_guide.vesu_pools.created_at IS 'Block time of the first event of the pair.';
COMMENT ON COLUMN vesu_guide.vesu_pools.updated_at IS 'The same as last_synced.';
COMMENT ON COLUMN vesu_guide.vesu_pools.deleted_at IS 'Always NULL: the chain deletes nothing.';
COMMENT ON COLUMN vesu_guide.vesu_pools.pool_id IS 'Beside the guide''s columns: pool, its address in V2, its felt id in V1.';

-- wallets has one row a wallet: joined from outside, it is left out of a plan that needs no user.
CREATE VIEW vesu_guide.vesu_positions AS
SELECT
    p.id,
    w.user_id,
    p.pool_address,
    p.collateral_asset,
    p.debt_asset,
    p.collateral_amount,
    p.debt_amount,
    p.vtoken_balance,
    p.health_factor,
    p.status,
    p.last_updated,
    p.created_at,
    p.valued_at AS updated_at,
    NULL::timestamptz AS deleted_at,
    p.user_id AS user_address,
    p.kind,
    p.pool_id
FROM vesu_positions p
LEFT JOIN wallets w ON w.wallet_address = p.user_id
WHERE p.kind <> 'system';
COMMENT ON VIEW vesu_guide.vesu_positions IS 'VesuPosition of the users'' guide: one row per position of a person''s and per vToken holding.';
COMMENT ON COLUMN vesu_guide.vesu_positions.id IS 'As in public.vesu_positions.';
COMMENT ON COLUMN vesu_guide.vesu_positions.user_id IS 'User of the wallet: by vesu_guide.users, else the uuid v5 of its address.';
COMMENT ON COLUMN vesu_guide.vesu_positions.pool_address IS 'Contract that holds the pool.';
COMMENT ON COLUMN vesu_guide.vesu_positions.collateral_asset IS 'Symbol of the collateral asset; NULL: not known.';
COMMENT ON COLUMN vesu_guide.vesu_positions.debt_asset IS 'Symbol of the debt asset; NULL: does not apply (earn) or not known.';
COMMENT ON COLUMN vesu_guide.vesu_positions.collateral_amount IS 'Collateral in token units at updated_at, rounded down; earn: what the vTokens are worth.';
COMMENT ON COLUMN vesu_guide.vesu_positions.debt_amount IS 'Debt in token units at updated_at, rounded up.';
COMMENT ON COLUMN vesu_guide.vesu_positions.vtoken_balance IS 'vToken balance in token units; 0 except for earn.';
COMMENT ON COLUMN vesu_guide.vesu_positions.health_factor IS 'Below 1 exactly when the contract allows a liquidation; NULL: no debt, or no price known yet (JavaScript takes NULL < 1 for true).';
COMMENT ON COLUMN vesu_guide.vesu_positions.status IS 'active; liquidated: emptied by a liquidation; closed: emptied otherwise.';
COMMENT ON COLUMN vesu_guide.vesu_positions.last_updated IS 'Block time of the last event of the position.';
COMMENT ON COLUMN vesu_guide.vesu_positions.created_at IS 'Block time of the first event of the position.';
COMMENT ON COLUMN vesu_guide.vesu_positions.updated_at IS 'Block time for which amounts and health hold, interest included: valued_at of public.vesu_positions.';
COMMENT ON COLUMN vesu_guide.vesu_positions.deleted_at IS 'Always NULL: the chain deletes nothing.';
COMMENT ON COLUMN vesu_guide.vesu_positions.user_address IS 'Beside the guide''s columns: the wallet address.';
COMMENT ON COLUMN vesu_guide.vesu_positions.kind IS 'Beside the guide''s columns: borrow, a position with or without debt; earn, a vToken holding.';
COMMENT ON COLUMN vesu_guide.vesu_positions.pool_id IS 'Beside the guide''s columns: pool, its address in V2, its felt id in V1.';

CREATE VIEW vesu_guide.vesu_liquidations AS
SELECT
    l.id,
    l.position_id,
    l.liquidator_address,
    l.transaction_hash,
    l.collateral_seized,
    l.debt_repaid,
    l.liquidation_bonus,
    l.timestamp,
    l.created_at,
    l.created_at AS updated_at,
    NULL::timestamptz AS deleted_at,
    l.user_id AS user_address
FROM vesu_liquidations l;
COMMENT ON VIEW vesu_guide.vesu_liquidations IS 'VesuLiquidation of the users'' guide: one row per liquidation.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.id IS 'As in public.vesu_liquidations.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.position_id IS 'Row of vesu_positions.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.liquidator_address IS 'Who liquidated.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.transaction_hash IS 'Hash of the transaction, which may hold several liquidations.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.collateral_seized IS 'Collateral taken, token units.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.debt_repaid IS 'What the liquidator paid, token units, without bad debt.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.liquidation_bonus IS 'Collateral received beyond what was paid, token units; negative where it was less.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.timestamp IS 'Block time.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.created_at IS 'Block time.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.updated_at IS 'Block time.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.deleted_at IS 'Always NULL: the chain deletes nothing.';
COMMENT ON COLUMN vesu_guide.vesu_liquidations.user_address IS 'Beside the guide''s columns: wallet address of the position.';

-- Four kinds of rows, each with its own plan: what only the chain says; the first row of the chain
-- of a submission's hash, type and asset, under the submission's id; submissions whose transaction
-- is not decided; and those that came to nothing.
CREATE VIEW vesu_guide.vesu_transactions AS
SELECT
    t.id,
    t.position_id,
    w.user_id,
    t.transaction_hash,
    t.type,
    t.asset,
    t.amount,
    'confirmed'::text AS status,
    t.block_number,
    t.timestamp,
    t.gas_used,
    NULL::text AS error_message,
    t.created_at,
    t.created_at AS updated_at,
    NULL::timestamptz AS deleted_at,
    t.user_id AS user_address,
    t.fee_unit
FROM vesu_transactions t
LEFT JOIN wallets w ON w.wallet_address = t.user_id
WHERE NOT EXISTS (
    SELECT 1
    FROM vesu_guide.submissions s
    WHERE s.transaction_hash = t.transaction_hash
        AND s.type = t.type
        AND lower(s.asset) = lower(t.asset)
        AND NOT EXISTS (
            SELECT 1
            FROM vesu_transactions e
            WHERE e.transaction_hash = t.transaction_hash
                AND e.type = t.type
                AND lower(e.asset) = lower(t.asset)
                AND (e.event_index, e.leg) < (t.event_index, t.leg)
        )
)
UNION ALL
SELECT
    s.id,
    t.position_id,
    s.user_id,
    t.transaction_hash,
    t.type,
    t.asset,
    t.amount,
    'confirmed'::text,
    t.block_number,
    t.timestamp,
    COALESCE(t.gas_used, n.actual_fee * 0.000000000000000001),
    NULL::text,
    s.created_at,
    GREATEST(s.updated_at, t.created_at),
    NULL::timestamptz,
    t.user_id,
    COALESCE(t.fee_unit, n.fee_unit)
FROM vesu_guide.submissions s
JOIN vesu_transactions t
    ON t.transaction_hash = s.transaction_hash
    AND t.type = s.type
    AND lower(t.asset) = lower(s.asset)
LEFT JOIN watches n ON n.transaction_hash = s.transaction_hash
WHERE NOT EXISTS (
    SELECT 1
    FROM vesu_transactions e
    WHERE e.transaction_hash = t.transaction_hash
        AND e.type = t.type
        AND lower(e.asset) = lower(t.asset)
        AND (e.event_index, e.leg) < (t.event_index, t.leg)
)
UNION ALL
SELECT
    s.id,
    s.position_id,
    s.user_id,
    s.transaction_hash,
    s.type,
    s.asset,
    s.amount,
    s.status,
    NULL::bigint,
    NULL::timestamptz,
    NULL::numeric,
    s.error_message,
    s.created_at,
    s.updated_at,
    NULL::timestamptz,
    u.address,
    NULL::text
FROM watches n
JOIN vesu_guide.submissions s ON s.transaction_hash = n.transaction_hash
LEFT JOIN vesu_guide.users u ON u.user_id = s.user_id
WHERE n.guide_status = 'pending'
    AND NOT EXISTS (
        SELECT 1
        FROM vesu_transactions t
        WHERE t.transaction_hash = s.transaction_hash
            AND t.type = s.type
            AND lower(t.asset) = lower(s.asset)
    )
UNION ALL
SELECT
    s.id,
    s.position_id,
    s.user_id,
    s.transaction_hash,
    s.type,
    s.asset,
    CASE n.status WHEN 'confirmed' THEN 0 ELSE s.amount END,
    n.guide_status,
    n.block_number,
    n.block_time,
    n.actual_fee * 0.000000000000000001,
    CASE n.status
        WHEN 'failed' THEN COALESCE(n.revert_reason, 'reverted')
        WHEN 'confirmed' THEN 'the transaction succeeded without a ' || s.type || ' of ' || s.asset
        ELSE COALESCE(s.error_message, n.revert_reason, 'dropped: no node knows the transaction')
    END,
    s.created_at,
    GREATEST(s.updated_at, n.settled_at),
    NULL::timestamptz,
    u.address,
    n.fee_unit
FROM watches n
JOIN vesu_guide.submissions s ON s.transaction_hash = n.transaction_hash
LEFT JOIN vesu_guide.users u ON u.user_id = s.user_id
WHERE n.guide_status IN ('confirmed', 'failed')
    AND NOT EXISTS (
        SELECT 1
        FROM vesu_transactions t
        WHERE t.transaction_hash = s.transaction_hash
            AND t.type = s.type
            AND lower(t.asset) = lower(s.asset)
    );
COMMENT ON VIEW vesu_guide.vesu_transactions IS 'VesuTransaction of the users'' guide: one row per effect of a transaction, and one per row that the application inserted; the two are one row once the chain has it.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.id IS 'As in public.vesu_transactions; of a row that the application inserted the application''s.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.position_id IS 'Row of vesu_positions; NULL: the application named none and the chain has no such effect yet.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.user_id IS 'User of the wallet: by vesu_guide.users, else the uuid v5 of its address; of a row that the application inserted the user that it named.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.transaction_hash IS 'Hash of the transaction, 0x and 64 hex digits; a transaction may have several rows.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.type IS 'supply, borrow, repay, withdraw, liquidation or transfer.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.asset IS 'Symbol of the asset; NULL: not known.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.amount IS 'Absolute amount in token units: the chain''s, the application''s while it is pending or failed, 0 where the transaction succeeded without such an effect.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.status IS 'pending; confirmed: it succeeded in a block that the tables hold; failed: reverted in such a block, given up by the application before that, or dropped.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.block_number IS 'Block number; NULL: not in a block that the tables hold.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.timestamp IS 'Block time; NULL: not in a block that the tables hold.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.gas_used IS 'Fee of the whole transaction in tokens of fee_unit; NULL: not known, or not in a block.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.error_message IS 'Why it failed: the chain''s reason of a revert, the application''s, or that no node knows it; NULL: it did not fail.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.created_at IS 'Block time; of a row that the application inserted the time of that.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.updated_at IS 'When the row last changed.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.deleted_at IS 'Always NULL: the chain deletes nothing.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.user_address IS 'Beside the guide''s columns: the wallet address; NULL: the user that the application named has none in vesu_guide.users.';
COMMENT ON COLUMN vesu_guide.vesu_transactions.fee_unit IS 'Beside the guide''s columns: FRI (STRK) or WEI (ETH); NULL: not known.';
