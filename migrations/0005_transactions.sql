-- What people did: one row per effect, and one per liquidation.
-- depends: 0004_history

CREATE TABLE vesu_transactions (
    id uuid NOT NULL,
    pool_id text NOT NULL,
    position_id uuid NOT NULL,
    user_id text NOT NULL,
    transaction_hash text NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    leg smallint NOT NULL,
    type text NOT NULL,
    asset text,
    asset_address text NOT NULL,
    amount numeric NOT NULL,
    amount_raw numeric(78,0) NOT NULL,
    status text NOT NULL,
    block_number bigint NOT NULL,
    timestamp timestamptz NOT NULL,
    gas_used numeric,
    fee_unit text,
    error_message text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (pool_id, id),
    FOREIGN KEY (pool_id, position_id) REFERENCES vesu_positions (pool_id, id)
);
COMMENT ON TABLE vesu_transactions IS 'One row per effect on a position: a transaction may hold many, one event may hold two.';
COMMENT ON COLUMN vesu_transactions.id IS 'uuid v5 of the events place in the chain and the leg.';
COMMENT ON COLUMN vesu_transactions.pool_id IS 'Pool of the position.';
COMMENT ON COLUMN vesu_transactions.position_id IS 'Row of vesu_positions.';
COMMENT ON COLUMN vesu_transactions.user_id IS 'Wallet address of the position.';
COMMENT ON COLUMN vesu_transactions.transaction_hash IS 'Hash of the transaction.';
COMMENT ON COLUMN vesu_transactions.transaction_index IS 'Position of the transaction in its block.';
COMMENT ON COLUMN vesu_transactions.event_index IS 'Position of the event in its transaction.';
COMMENT ON COLUMN vesu_transactions.leg IS '0: collateral side or sender, 1: debt side or receiver.';
COMMENT ON COLUMN vesu_transactions.type IS 'supply, borrow, repay, withdraw, liquidation or transfer.';
COMMENT ON COLUMN vesu_transactions.asset IS 'Symbol of the asset; NULL: not known.';
COMMENT ON COLUMN vesu_transactions.asset_address IS 'The asset; for a transfer the vToken.';
COMMENT ON COLUMN vesu_transactions.amount IS 'Absolute amount in token units.';
COMMENT ON COLUMN vesu_transactions.amount_raw IS 'Raw units, signed as the balance changes: supply and borrow +, withdraw and repay -, liquidation -, transfer + or -.';
COMMENT ON COLUMN vesu_transactions.status IS 'pending, confirmed or failed; the indexer writes confirmed.';
COMMENT ON COLUMN vesu_transactions.block_number IS 'Block number.';
COMMENT ON COLUMN vesu_transactions.timestamp IS 'Block time.';
COMMENT ON COLUMN vesu_transactions.gas_used IS 'Fee of the whole transaction in tokens of fee_unit; NULL: not known.';
COMMENT ON COLUMN vesu_transactions.fee_unit IS 'FRI: STRK, WEI: ETH; NULL: not known.';
COMMENT ON COLUMN vesu_transactions.error_message IS 'NULL: a confirmed transaction has none.';
COMMENT ON COLUMN vesu_transactions.created_at IS 'Block time.';

CREATE TABLE vesu_liquidations (
    id uuid NOT NULL,
    pool_id text NOT NULL,
    position_id uuid NOT NULL,
    user_id text NOT NULL,
    liquidator_address text NOT NULL,
    transaction_hash text NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    collateral_asset text,
    debt_asset text,
    collateral_seized numeric NOT NULL,
    collateral_seized_raw numeric(78,0) NOT NULL,
    debt_repaid numeric NOT NULL,
    debt_repaid_raw numeric(78,0) NOT NULL,
    bad_debt numeric NOT NULL,
    bad_debt_raw numeric(78,0) NOT NULL,
    liquidation_bonus numeric NOT NULL,
    collateral_price numeric(78,0) NOT NULL,
    debt_price numeric(78,0) NOT NULL,
    block_number bigint NOT NULL,
    timestamp timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (pool_id, id),
    FOREIGN KEY (pool_id, position_id) REFERENCES vesu_positions (pool_id, id)
);
COMMENT ON TABLE vesu_liquidations IS 'One row per liquidation.';
COMMENT ON COLUMN vesu_liquidations.id IS 'uuid v5 of the events place in the chain and the leg.';
COMMENT ON COLUMN vesu_liquidations.pool_id IS 'Pool of the position.';
COMMENT ON COLUMN vesu_liquidations.position_id IS 'Row of vesu_positions.';
COMMENT ON COLUMN vesu_liquidations.user_id IS 'Wallet address of the position.';
COMMENT ON COLUMN vesu_liquidations.liquidator_address IS 'Who liquidated.';
COMMENT ON COLUMN vesu_liquidations.transaction_hash IS 'Hash of the transaction.';
COMMENT ON COLUMN vesu_liquidations.transaction_index IS 'Position of the transaction in its block.';
COMMENT ON COLUMN vesu_liquidations.event_index IS 'Position of the event in its transaction.';
COMMENT ON COLUMN vesu_liquidations.collateral_asset IS 'Symbol; NULL: not known.';
COMMENT ON COLUMN vesu_liquidations.debt_asset IS 'Symbol; NULL: not known.';
COMMENT ON COLUMN vesu_liquidations.collateral_seized IS 'Collateral taken, token units.';
COMMENT ON COLUMN vesu_liquidations.collateral_seized_raw IS 'Collateral taken, raw units.';
COMMENT ON COLUMN vesu_liquidations.debt_repaid IS 'What the liquidator paid, token units, without bad debt.';
COMMENT ON COLUMN vesu_liquidations.debt_repaid_raw IS 'What the liquidator paid, raw units.';
COMMENT ON COLUMN vesu_liquidations.bad_debt IS 'Debt written off, token units.';
COMMENT ON COLUMN vesu_liquidations.bad_debt_raw IS 'Debt written off, raw units.';
COMMENT ON COLUMN vesu_liquidations.liquidation_bonus IS 'Collateral received beyond what was paid, token units, at the prices of this row; negative where it was less.';
COMMENT ON COLUMN vesu_liquidations.collateral_price IS 'Price of the collateral in the liquidation, USD x 10^18.';
COMMENT ON COLUMN vesu_liquidations.debt_price IS 'Price of the debt asset in the liquidation, USD x 10^18.';
COMMENT ON COLUMN vesu_liquidations.block_number IS 'Block number.';
COMMENT ON COLUMN vesu_liquidations.timestamp IS 'Block time.';
COMMENT ON COLUMN vesu_liquidations.created_at IS 'Block time.';
