-- The state tables: pools (pairs), assets and positions as they are at the committed block.
-- depends: 0002_contracts

CREATE TABLE vesu_pools (
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
    name text,
    collateral_asset text,
    debt_asset text,
    max_ltv numeric,
    liquidation_threshold numeric,
    liquidation_bonus numeric,
    debt_cap numeric,
    total_supply numeric,
    total_borrow numeric,
    utilization numeric,
    supply_apy numeric,
    borrow_apy numeric,
    collateral_supply_apy numeric,
    pair_collateral numeric,
    pair_debt numeric,
    is_active boolean NOT NULL,
    is_paused boolean NOT NULL,
    last_synced_at timestamptz NOT NULL,
    last_synced_block bigint NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_block bigint NOT NULL,
    PRIMARY KEY (pool_id, id)
);
COMMENT ON TABLE vesu_pools IS 'One row per pool and (collateral, debt) pair.';
COMMENT ON COLUMN vesu_pools.id IS 'uuid v5 of the natural key, the same on every machine and in every replay.';
COMMENT ON COLUMN vesu_pools.pool_id IS 'Pool: its address in V2, its felt id in V1; 0x and 64 hex digits.';
COMMENT ON COLUMN vesu_pools.pool_address IS 'Contract that holds the pool.';
COMMENT ON COLUMN vesu_pools.protocol IS 'v1.0, v1.1 or v2.';
COMMENT ON COLUMN vesu_pools.collateral_address IS 'Collateral asset of the pair.';
COMMENT ON COLUMN vesu_pools.debt_address IS 'Debt asset of the pair.';
COMMENT ON COLUMN vesu_pools.max_ltv_raw IS 'Maximum loan-to-value x 10^18.';
COMMENT ON COLUMN vesu_pools.liquidation_factor_raw IS 'Liquidation factor x 10^18; 0 counts as 10^18.';
COMMENT ON COLUMN vesu_pools.debt_cap_raw IS 'Debt cap in raw units of the debt asset; 0: none.';
COMMENT ON COLUMN vesu_pools.pair_collateral_shares IS 'Collateral shares of all positions of the pair.';
COMMENT ON COLUMN vesu_pools.pair_nominal_debt IS 'Nominal debt of all positions of the pair.';
COMMENT ON COLUMN vesu_pools.is_configured IS 'Whether the pair was ever given a configuration.';
COMMENT ON COLUMN vesu_pools.name IS 'Name of the pool; NULL: not told.';
COMMENT ON COLUMN vesu_pools.collateral_asset IS 'Symbol of the collateral asset; NULL: not known.';
COMMENT ON COLUMN vesu_pools.debt_asset IS 'Symbol of the debt asset; NULL: not known.';
COMMENT ON COLUMN vesu_pools.max_ltv IS 'Maximum loan-to-value of the pair, 0.75 = 75 %.';
COMMENT ON COLUMN vesu_pools.liquidation_threshold IS 'LTV from which a position may be liquidated: in Vesu the same as max_ltv.';
COMMENT ON COLUMN vesu_pools.liquidation_bonus IS 'What a liquidator earns: 1 / liquidation factor - 1.';
COMMENT ON COLUMN vesu_pools.debt_cap IS 'Debt cap in token units; NULL: none.';
COMMENT ON COLUMN vesu_pools.total_supply IS 'Supply of the debt asset''s market in token units: reserve plus debt.';
COMMENT ON COLUMN vesu_pools.total_borrow IS 'Debt of the debt asset''s market in token units.';
COMMENT ON COLUMN vesu_pools.utilization IS 'total_borrow / total_supply, as the contract rounds it.';
COMMENT ON COLUMN vesu_pools.supply_apy IS 'Yearly yield of supplying the debt asset, compounded per second over 365 days.';
COMMENT ON COLUMN vesu_pools.borrow_apy IS 'Yearly cost of borrowing the debt asset, compounded per second over 365 days.';
COMMENT ON COLUMN vesu_pools.collateral_supply_apy IS 'Yearly yield of supplying the collateral asset, computed like supply_apy.';
COMMENT ON COLUMN vesu_pools.pair_collateral IS 'Collateral of all positions of the pair in token units, rounded down.';
COMMENT ON COLUMN vesu_pools.pair_debt IS 'Debt of all positions of the pair in token units, rounded up.';
COMMENT ON COLUMN vesu_pools.is_active IS 'Configured and not paused.';
COMMENT ON COLUMN vesu_pools.is_paused IS 'Whether the pool is paused.';
COMMENT ON COLUMN vesu_pools.last_synced_at IS 'Block time of the last change of the pair or of one of its markets.';
COMMENT ON COLUMN vesu_pools.last_synced_block IS 'Block of that change.';
COMMENT ON COLUMN vesu_pools.created_at IS 'Block time of the first event of the pair.';
COMMENT ON COLUMN vesu_pools.changed_at IS 'Block time of the last change of the pair itself.';
COMMENT ON COLUMN vesu_pools.changed_block IS 'Block of the last change of the pair itself.';

CREATE TABLE vesu_assets (
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
    symbol text,
    name text,
    decimals integer,
    utilization numeric,
    supply_apy numeric,
    borrow_apy numeric,
    block_number bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (pool_id, id)
);
COMMENT ON TABLE vesu_assets IS 'One row per pool and asset: the contracts AssetConfig, rate model and last told price.';
COMMENT ON COLUMN vesu_assets.id IS 'uuid v5 of the natural key, the same on every machine and in every replay.';
COMMENT ON COLUMN vesu_assets.pool_id IS 'Pool: its address in V2, its felt id in V1; 0x and 64 hex digits.';
COMMENT ON COLUMN vesu_assets.pool_address IS 'Contract that holds the pool.';
COMMENT ON COLUMN vesu_assets.protocol IS 'v1.0, v1.1 or v2.';
COMMENT ON COLUMN vesu_assets.asset_address IS 'The asset.';
COMMENT ON COLUMN vesu_assets.total_collateral_shares IS 'Collateral shares of the market, fee shares included.';
COMMENT ON COLUMN vesu_assets.total_nominal_debt IS 'Nominal debt of the market.';
COMMENT ON COLUMN vesu_assets.reserve IS 'Raw units that lie in the pool.';
COMMENT ON COLUMN vesu_assets.max_utilization IS 'Utilisation limit x 10^18.';
COMMENT ON COLUMN vesu_assets.floor IS 'Smallest debt value in USD x 10^18.';
COMMENT ON COLUMN vesu_assets.scale IS '10^decimals.';
COMMENT ON COLUMN vesu_assets.is_legacy IS 'Whether the token is a legacy ERC20.';
COMMENT ON COLUMN vesu_assets.last_updated IS 'Time up to which interest is in these numbers.';
COMMENT ON COLUMN vesu_assets.last_rate_accumulator IS 'Rate accumulator x 10^18 at last_updated.';
COMMENT ON COLUMN vesu_assets.last_full_utilization_rate IS 'Rate per second at full utilisation x 10^18 at last_updated.';
COMMENT ON COLUMN vesu_assets.fee_rate IS 'Share of interest that is the fee, x 10^18.';
COMMENT ON COLUMN vesu_assets.fee_shares IS 'Fee shares not yet claimed.';
COMMENT ON COLUMN vesu_assets.price IS 'Last price that an event told, USD x 10^18; NULL: none yet.';
COMMENT ON COLUMN vesu_assets.price_is_valid IS 'Whether the oracle called that price valid; NULL: none yet.';
COMMENT ON COLUMN vesu_assets.price_block IS 'Block of that price; NULL: none yet.';
COMMENT ON COLUMN vesu_assets.v_token IS 'Current vToken of the asset; NULL: none.';
COMMENT ON COLUMN vesu_assets.min_target_utilization IS 'Rate model: below this utilisation (x 10^5) the full-utilisation rate falls.';
COMMENT ON COLUMN vesu_assets.max_target_utilization IS 'Rate model: above this utilisation (x 10^5) the full-utilisation rate rises.';
COMMENT ON COLUMN vesu_assets.target_utilization IS 'Rate model: utilisation (x 10^5) at the kink.';
COMMENT ON COLUMN vesu_assets.min_full_utilization_rate IS 'Rate model: lower bound of the full-utilisation rate, per second x 10^18.';
COMMENT ON COLUMN vesu_assets.max_full_utilization_rate IS 'Rate model: upper bound of the full-utilisation rate, per second x 10^18.';
COMMENT ON COLUMN vesu_assets.zero_utilization_rate IS 'Rate model: rate at no utilisation, per second x 10^18.';
COMMENT ON COLUMN vesu_assets.rate_half_life IS 'Rate model: half-life of the full-utilisation rate in seconds.';
COMMENT ON COLUMN vesu_assets.target_rate_percent IS 'Rate model: rate at the kink as a share (x 10^18) of the way from zero to full.';
COMMENT ON COLUMN vesu_assets.symbol IS 'Symbol as the token tells it, cleaned for display; NULL: not known.';
COMMENT ON COLUMN vesu_assets.name IS 'Name as the token tells it, cleaned for display; NULL: not known.';
COMMENT ON COLUMN vesu_assets.decimals IS 'Decimals of the token; NULL: not known yet.';
COMMENT ON COLUMN vesu_assets.utilization IS 'Debt / (reserve + debt) at last_updated, as the contract rounds it.';
COMMENT ON COLUMN vesu_assets.supply_apy IS 'Yearly yield of supplying, compounded per second over 365 days.';
COMMENT ON COLUMN vesu_assets.borrow_apy IS 'Yearly cost of borrowing, compounded per second over 365 days.';
COMMENT ON COLUMN vesu_assets.block_number IS 'Block of the last change.';
COMMENT ON COLUMN vesu_assets.changed_at IS 'Time of that block.';

CREATE TABLE vesu_positions (
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
    pool_pair_id uuid,
    collateral_asset text,
    debt_asset text,
    vtoken_balance numeric NOT NULL,
    collateral_raw numeric(78,0) NOT NULL,
    debt_raw numeric(78,0) NOT NULL,
    collateral_amount numeric NOT NULL,
    debt_amount numeric NOT NULL,
    collateral_value_usd numeric,
    debt_value_usd numeric,
    ltv numeric,
    health_factor numeric,
    liquidation_price numeric,
    valued_at timestamptz NOT NULL,
    valued_at_block bigint NOT NULL,
    last_updated timestamptz NOT NULL,
    last_event_block bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (pool_id, id),
    FOREIGN KEY (pool_id, pool_pair_id) REFERENCES vesu_pools (pool_id, id)
);
COMMENT ON TABLE vesu_positions IS 'One row per position in the contract and per vToken holding.';
COMMENT ON COLUMN vesu_positions.id IS 'uuid v5 of the natural key, the same on every machine and in every replay.';
COMMENT ON COLUMN vesu_positions.pool_id IS 'Pool: its address in V2, its felt id in V1; 0x and 64 hex digits.';
COMMENT ON COLUMN vesu_positions.pool_address IS 'Contract that holds the pool.';
COMMENT ON COLUMN vesu_positions.protocol IS 'v1.0, v1.1 or v2.';
COMMENT ON COLUMN vesu_positions.user_id IS 'The wallet address that the position belongs to.';
COMMENT ON COLUMN vesu_positions.kind IS 'borrow: a users position, with or without debt; earn: a vToken holding; system: positions of vTokens, extensions, fee and burn holders, which close the sums but are nobodys.';
COMMENT ON COLUMN vesu_positions.collateral_address IS 'Collateral asset, or the asset of the vToken.';
COMMENT ON COLUMN vesu_positions.debt_address IS 'Debt asset; NULL: does not apply (earn).';
COMMENT ON COLUMN vesu_positions.v_token IS 'vToken that is held; NULL: does not apply (borrow, system).';
COMMENT ON COLUMN vesu_positions.collateral_shares IS 'Collateral shares; 0 for earn.';
COMMENT ON COLUMN vesu_positions.nominal_debt IS 'Nominal debt; 0 for earn.';
COMMENT ON COLUMN vesu_positions.vtoken_balance_raw IS 'vToken balance (18 decimals); 0 except for earn.';
COMMENT ON COLUMN vesu_positions.status IS 'active; liquidated: emptied by a liquidation; closed: emptied otherwise.';
COMMENT ON COLUMN vesu_positions.pool_pair_id IS 'Row of vesu_pools; NULL: does not apply (earn) or the pair has no row.';
COMMENT ON COLUMN vesu_positions.collateral_asset IS 'Symbol of the collateral asset; NULL: not known.';
COMMENT ON COLUMN vesu_positions.debt_asset IS 'Symbol of the debt asset; NULL: does not apply or not known.';
COMMENT ON COLUMN vesu_positions.vtoken_balance IS 'vToken balance in token units; 0 except for earn.';
COMMENT ON COLUMN vesu_positions.collateral_raw IS 'Raw units of collateral at valued_at, rounded down; earn: convert_to_assets of the balance.';
COMMENT ON COLUMN vesu_positions.debt_raw IS 'Raw units owed at valued_at, rounded up.';
COMMENT ON COLUMN vesu_positions.collateral_amount IS 'collateral_raw in token units.';
COMMENT ON COLUMN vesu_positions.debt_amount IS 'debt_raw in token units.';
COMMENT ON COLUMN vesu_positions.collateral_value_usd IS 'USD value of the collateral at the last price that an event told, rounded down; NULL: no price known yet.';
COMMENT ON COLUMN vesu_positions.debt_value_usd IS 'USD value of the debt, rounded up; NULL: no price known yet.';
COMMENT ON COLUMN vesu_positions.ltv IS 'debt_value_usd / collateral_value_usd; NULL: no debt, or no price known yet.';
COMMENT ON COLUMN vesu_positions.health_factor IS 'Collateral value x max_ltv / debt value, rounded down; below 1 exactly when the contract allows a liquidation at these prices; NULL: no debt, or no price known yet.';
COMMENT ON COLUMN vesu_positions.liquidation_price IS 'Collateral price in USD below which the position may be liquidated; NULL: no debt, or no price known yet.';
COMMENT ON COLUMN vesu_positions.valued_at IS 'Block time for which the amounts and values hold, interest included.';
COMMENT ON COLUMN vesu_positions.valued_at_block IS 'Block for which they hold.';
COMMENT ON COLUMN vesu_positions.last_updated IS 'Block time of the last event of the position.';
COMMENT ON COLUMN vesu_positions.last_event_block IS 'Block of the last event of the position.';
COMMENT ON COLUMN vesu_positions.created_at IS 'Block time of the first event of the position.';
