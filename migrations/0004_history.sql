-- Every version of every state row: rollback, replay, point-in-time reads and charts live on it.
-- depends: 0003_state

CREATE TABLE vesu_pool_history (
    id uuid NOT NULL,
    pool_id text NOT NULL,
    pool_address text NOT NULL,
    protocol text NOT NULL,
    collateral_address text NOT NULL,
    debt_address text NOT NULL,
    max_ltv_raw numeric(78,0) NOT NULL,
    liquidation_factor_raw numeric(78,0) NOT NULL,
    debt_cap_raw numeric(78,0) NOT NULL,
    pair_collateral_shares numeric(78,0) NOT NULL,
    pair_nominal_debt numeric(78,0) NOT NULL,
    is_configured boolean NOT NULL,
    max_ltv numeric NOT NULL,
    liquidation_threshold numeric NOT NULL,
    liquidation_bonus numeric NOT NULL,
    debt_cap numeric,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    PRIMARY KEY (pool_id, id, block_number, transaction_index, event_index)
);
COMMENT ON TABLE vesu_pool_history IS 'Every change of a pairs configuration and totals, keyed by the event that made it.';
COMMENT ON COLUMN vesu_pool_history.id IS 'uuid v5 of the natural key, the same on every machine and in every replay.';
COMMENT ON COLUMN vesu_pool_history.pool_id IS 'Pool: its address in V2, its felt id in V1; 0x and 64 hex digits.';
COMMENT ON COLUMN vesu_pool_history.pool_address IS 'Contract that holds the pool.';
COMMENT ON COLUMN vesu_pool_history.protocol IS 'v1.0, v1.1 or v2.';
COMMENT ON COLUMN vesu_pool_history.collateral_address IS 'Collateral asset of the pair.';
COMMENT ON COLUMN vesu_pool_history.debt_address IS 'Debt asset of the pair.';
COMMENT ON COLUMN vesu_pool_history.max_ltv_raw IS 'Maximum loan-to-value x 10^18.';
COMMENT ON COLUMN vesu_pool_history.liquidation_factor_raw IS 'Liquidation factor x 10^18; 0 counts as 10^18.';
COMMENT ON COLUMN vesu_pool_history.debt_cap_raw IS 'Debt cap in raw units of the debt asset; 0: none.';
COMMENT ON COLUMN vesu_pool_history.pair_collateral_shares IS 'Collateral shares of all positions of the pair.';
COMMENT ON COLUMN vesu_pool_history.pair_nominal_debt IS 'Nominal debt of all positions of the pair.';
COMMENT ON COLUMN vesu_pool_history.is_configured IS 'Whether the pair was ever given a configuration.';
COMMENT ON COLUMN vesu_pool_history.max_ltv IS 'Maximum loan-to-value of the pair, 0.75 = 75 %.';
COMMENT ON COLUMN vesu_pool_history.liquidation_threshold IS 'LTV from which a position may be liquidated: in Vesu the same as max_ltv.';
COMMENT ON COLUMN vesu_pool_history.liquidation_bonus IS 'What a liquidator earns: 1 / liquidation factor - 1.';
COMMENT ON COLUMN vesu_pool_history.debt_cap IS 'Debt cap in token units; NULL: none.';
COMMENT ON COLUMN vesu_pool_history.created_at IS 'Block time of the first event of this row.';
COMMENT ON COLUMN vesu_pool_history.changed_at IS 'Block time of this version.';
COMMENT ON COLUMN vesu_pool_history.block_number IS 'Block of the event that made this version.';
COMMENT ON COLUMN vesu_pool_history.transaction_index IS 'Position of its transaction in the block.';
COMMENT ON COLUMN vesu_pool_history.event_index IS 'Its position in the transaction.';

CREATE TABLE vesu_asset_history (
    id uuid NOT NULL,
    pool_id text NOT NULL,
    pool_address text NOT NULL,
    protocol text NOT NULL,
    asset_address text NOT NULL,
    total_collateral_shares numeric(78,0) NOT NULL,
    total_nominal_debt numeric(78,0) NOT NULL,
    reserve numeric(78,0) NOT NULL,
    max_utilization numeric(78,0) NOT NULL,
    floor numeric(78,0) NOT NULL,
    scale numeric(78,0) NOT NULL,
    is_legacy boolean NOT NULL,
    last_updated timestamptz NOT NULL,
    last_rate_accumulator numeric(78,0) NOT NULL,
    last_full_utilization_rate numeric(78,0) NOT NULL,
    fee_rate numeric(78,0) NOT NULL,
    fee_shares numeric(78,0) NOT NULL,
    price numeric(78,0),
    price_is_valid boolean,
    price_block bigint,
    v_token text,
    min_target_utilization numeric(78,0) NOT NULL,
    max_target_utilization numeric(78,0) NOT NULL,
    target_utilization numeric(78,0) NOT NULL,
    min_full_utilization_rate numeric(78,0) NOT NULL,
    max_full_utilization_rate numeric(78,0) NOT NULL,
    zero_utilization_rate numeric(78,0) NOT NULL,
    rate_half_life numeric(78,0) NOT NULL,
    target_rate_percent numeric(78,0) NOT NULL,
    changed_at timestamptz NOT NULL,
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    PRIMARY KEY (pool_id, id, block_number, transaction_index, event_index)
);
COMMENT ON TABLE vesu_asset_history IS 'Every change of an assets exact state, keyed by the event that made it.';
COMMENT ON COLUMN vesu_asset_history.id IS 'uuid v5 of the natural key, the same on every machine and in every replay.';
COMMENT ON COLUMN vesu_asset_history.pool_id IS 'Pool: its address in V2, its felt id in V1; 0x and 64 hex digits.';
COMMENT ON COLUMN vesu_asset_history.pool_address IS 'Contract that holds the pool.';
COMMENT ON COLUMN vesu_asset_history.protocol IS 'v1.0, v1.1 or v2.';
COMMENT ON COLUMN vesu_asset_history.asset_address IS 'The asset.';
COMMENT ON COLUMN vesu_asset_history.total_collateral_shares IS 'Collateral shares of the market, fee shares included.';
COMMENT ON COLUMN vesu_asset_history.total_nominal_debt IS 'Nominal debt of the market.';
COMMENT ON COLUMN vesu_asset_history.reserve IS 'Raw units that lie in the pool.';
COMMENT ON COLUMN vesu_asset_history.max_utilization IS 'Utilisation limit x 10^18.';
COMMENT ON COLUMN vesu_asset_history.floor IS 'Smallest debt value in USD x 10^18.';
COMMENT ON COLUMN vesu_asset_history.scale IS '10^decimals.';
COMMENT ON COLUMN vesu_asset_history.is_legacy IS 'Whether the token is a legacy ERC20.';
COMMENT ON COLUMN vesu_asset_history.last_updated IS 'Time up to which interest is in these numbers.';
COMMENT ON COLUMN vesu_asset_history.last_rate_accumulator IS 'Rate accumulator x 10^18 at last_updated.';
COMMENT ON COLUMN vesu_asset_history.last_full_utilization_rate IS 'Rate per second at full utilisation x 10^18 at last_updated.';
COMMENT ON COLUMN vesu_asset_history.fee_rate IS 'Share of interest that is the fee, x 10^18.';
COMMENT ON COLUMN vesu_asset_history.fee_shares IS 'Fee shares not yet claimed.';
COMMENT ON COLUMN vesu_asset_history.price IS 'Last price that an event told, USD x 10^18; NULL: none yet.';
COMMENT ON COLUMN vesu_asset_history.price_is_valid IS 'Whether the oracle called that price valid; NULL: none yet.';
COMMENT ON COLUMN vesu_asset_history.price_block IS 'Block of that price; NULL: none yet.';
COMMENT ON COLUMN vesu_asset_history.v_token IS 'Current vToken of the asset; NULL: none.';
COMMENT ON COLUMN vesu_asset_history.min_target_utilization IS 'Rate model: below this utilisation (x 10^5) the full-utilisation rate falls.';
COMMENT ON COLUMN vesu_asset_history.max_target_utilization IS 'Rate model: above this utilisation (x 10^5) the full-utilisation rate rises.';
COMMENT ON COLUMN vesu_asset_history.target_utilization IS 'Rate model: utilisation (x 10^5) at the kink.';
COMMENT ON COLUMN vesu_asset_history.min_full_utilization_rate IS 'Rate model: lower bound of the full-utilisation rate, per second x 10^18.';
COMMENT ON COLUMN vesu_asset_history.max_full_utilization_rate IS 'Rate model: upper bound of the full-utilisation rate, per second x 10^18.';
COMMENT ON COLUMN vesu_asset_history.zero_utilization_rate IS 'Rate model: rate at no utilisation, per second x 10^18.';
COMMENT ON COLUMN vesu_asset_history.rate_half_life IS 'Rate model: half-life of the full-utilisation rate in seconds.';
COMMENT ON COLUMN vesu_asset_history.target_rate_percent IS 'Rate model: rate at the kink as a share (x 10^18) of the way from zero to full.';
COMMENT ON COLUMN vesu_asset_history.changed_at IS 'Block time of this version.';
COMMENT ON COLUMN vesu_asset_history.block_number IS 'Block of the event that made this version.';
COMMENT ON COLUMN vesu_asset_history.transaction_index IS 'Position of its transaction in the block.';
COMMENT ON COLUMN vesu_asset_history.event_index IS 'Its position in the transaction.';

CREATE TABLE vesu_position_history (
    id uuid NOT NULL,
    pool_id text NOT NULL,
    pool_address text NOT NULL,
    protocol text NOT NULL,
    user_id text NOT NULL,
    kind text NOT NULL,
    collateral_address text NOT NULL,
    debt_address text,
    v_token text,
    collateral_shares numeric(78,0) NOT NULL,
    nominal_debt numeric(78,0) NOT NULL,
    vtoken_balance_raw numeric(78,0) NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    PRIMARY KEY (pool_id, id, block_number, transaction_index, event_index)
);
COMMENT ON TABLE vesu_position_history IS 'Every change of a positions exact state, keyed by the event that made it.';
COMMENT ON COLUMN vesu_position_history.id IS 'uuid v5 of the natural key, the same on every machine and in every replay.';
COMMENT ON COLUMN vesu_position_history.pool_id IS 'Pool: its address in V2, its felt id in V1; 0x and 64 hex digits.';
COMMENT ON COLUMN vesu_position_history.pool_address IS 'Contract that holds the pool.';
COMMENT ON COLUMN vesu_position_history.protocol IS 'v1.0, v1.1 or v2.';
COMMENT ON COLUMN vesu_position_history.user_id IS 'The wallet address that the position belongs to.';
COMMENT ON COLUMN vesu_position_history.kind IS 'borrow: a users position, with or without debt; earn: a vToken holding; system: positions of vTokens, extensions, fee and burn holders, which close the sums but are nobodys.';
COMMENT ON COLUMN vesu_position_history.collateral_address IS 'Collateral asset, or the asset of the vToken.';
COMMENT ON COLUMN vesu_position_history.debt_address IS 'Debt asset; NULL: does not apply (earn).';
COMMENT ON COLUMN vesu_position_history.v_token IS 'vToken that is held; NULL: does not apply (borrow, system).';
COMMENT ON COLUMN vesu_position_history.collateral_shares IS 'Collateral shares; 0 for earn.';
COMMENT ON COLUMN vesu_position_history.nominal_debt IS 'Nominal debt; 0 for earn.';
COMMENT ON COLUMN vesu_position_history.vtoken_balance_raw IS 'vToken balance (18 decimals); 0 except for earn.';
COMMENT ON COLUMN vesu_position_history.status IS 'active; liquidated: emptied by a liquidation; closed: emptied otherwise.';
COMMENT ON COLUMN vesu_position_history.created_at IS 'Block time of the first event of this row.';
COMMENT ON COLUMN vesu_position_history.changed_at IS 'Block time of this version.';
COMMENT ON COLUMN vesu_position_history.block_number IS 'Block of the event that made this version.';
COMMENT ON COLUMN vesu_position_history.transaction_index IS 'Position of its transaction in the block.';
COMMENT ON COLUMN vesu_position_history.event_index IS 'Its position in the transaction.';

CREATE INDEX idx_contract_history_block ON contract_history (block_number);
CREATE INDEX idx_vesu_pool_history_block ON vesu_pool_history (block_number);
CREATE INDEX idx_vesu_asset_history_block ON vesu_asset_history (block_number);
CREATE INDEX idx_vesu_position_history_block ON vesu_position_history (block_number);
