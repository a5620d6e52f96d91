-- Vesu V1: pools inside a singleton, positions that migrate, the variant of the maths.
-- depends: 0007_status

ALTER TABLE contracts
    ADD COLUMN pool_id text,
    ADD COLUMN extension text,
    ADD COLUMN successor text,
    ADD COLUMN variants text;
ALTER TABLE contract_history
    ADD COLUMN pool_id text,
    ADD COLUMN extension text,
    ADD COLUMN successor text,
    ADD COLUMN variants text;
UPDATE contracts SET pool_id = pool_address;
UPDATE contract_history SET pool_id = pool_address;
-- The same pool id lives on two singletons, so an address alone does not name a row.
ALTER TABLE contracts DROP CONSTRAINT contracts_pkey, ADD PRIMARY KEY (address, kind);
ALTER TABLE contract_history DROP CONSTRAINT contract_history_pkey,
    ADD PRIMARY KEY (address, kind, block_number, transaction_index, event_index);
COMMENT ON TABLE contracts IS 'The contracts of ours and the pools inside V1 singletons, with their settings.';
COMMENT ON COLUMN contracts.address IS 'The contract; of a pool inside a V1 singleton its id.';
COMMENT ON COLUMN contract_history.address IS 'The contract; of a pool inside a V1 singleton its id.';
COMMENT ON COLUMN contracts.pool_id IS 'Pool that it belongs to: its address in V2, its felt id in V1; NULL: none.';
COMMENT ON COLUMN contract_history.pool_id IS 'Pool that it belongs to: its address in V2, its felt id in V1; NULL: none.';
COMMENT ON COLUMN contracts.extension IS 'V1 pools: the contract that decides on prices, rates and limits; NULL: does not apply.';
COMMENT ON COLUMN contract_history.extension IS 'V1 pools: the contract that decides on prices, rates and limits; NULL: does not apply.';
COMMENT ON COLUMN contracts.successor IS 'V1.0 pools: the V1.1 singleton that took the pool over; NULL: none.';
COMMENT ON COLUMN contract_history.successor IS 'V1.0 pools: the V1.1 singleton that took the pool over; NULL: none.';
COMMENT ON COLUMN contracts.variants IS 'V1 singletons: variants of the maths that its accruals have not refuted, the one in use first; NULL: as deployed.';
COMMENT ON COLUMN contract_history.variants IS 'V1 singletons: variants of the maths that its accruals have not refuted, the one in use first; NULL: as deployed.';

ALTER TABLE vesu_assets
    ADD COLUMN variant text NOT NULL DEFAULT 'v2',
    ADD COLUMN unowned_shares numeric(78,0) NOT NULL DEFAULT 0;
ALTER TABLE vesu_asset_history
    ADD COLUMN variant text NOT NULL DEFAULT 'v2',
    ADD COLUMN unowned_shares numeric(78,0) NOT NULL DEFAULT 0;
COMMENT ON COLUMN vesu_assets.unowned_shares IS 'Shares that the total counts and no position holds: the first deposit in V2, what V1 loses or forgets; negative where positions hold more than is counted.';
COMMENT ON COLUMN vesu_asset_history.unowned_shares IS 'Shares that the total counts and no position holds; negative where positions hold more than is counted.';
COMMENT ON COLUMN vesu_assets.variant IS 'Variant of the maths that the contract computes with: v1.0, v1.1b, v1.1c, v2; frozen: a V1.0 market that moved to V1.1.';
COMMENT ON COLUMN vesu_asset_history.variant IS 'Variant of the maths that the contract computes with: v1.0, v1.1b, v1.1c, v2; frozen: a V1.0 market that moved to V1.1.';

ALTER TABLE vesu_positions ADD COLUMN migrated_block bigint;
ALTER TABLE vesu_position_history ADD COLUMN migrated_block bigint;
COMMENT ON COLUMN vesu_positions.migrated_block IS 'V1.0: since this block V1.1 holds what the position held; the V1.0 contract keeps the numbers, they are worth nothing; NULL: not migrated or does not apply.';
COMMENT ON COLUMN vesu_position_history.migrated_block IS 'V1.0: since this block V1.1 holds what the position held; NULL: not migrated or does not apply.';

CREATE TABLE accrual_mismatches (
    id uuid NOT NULL,
    pool_id text NOT NULL,
    pool_address text NOT NULL,
    protocol text NOT NULL,
    asset_address text NOT NULL,
    variant text NOT NULL,
    field text NOT NULL,
    predicted numeric(78,0) NOT NULL,
    told numeric(78,0) NOT NULL,
    explanation text,
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    timestamp timestamptz NOT NULL,
    PRIMARY KEY (pool_id, id)
);
CREATE INDEX idx_accrual_mismatches_block ON accrual_mismatches (block_number);
COMMENT ON TABLE accrual_mismatches IS 'Accruals that the chain told otherwise than the fold predicted them; the told number stands in the tables.';
COMMENT ON COLUMN accrual_mismatches.id IS 'uuid v5 of the natural key, the same on every machine and in every replay.';
COMMENT ON COLUMN accrual_mismatches.pool_id IS 'Pool: its address in V2, its felt id in V1; 0x and 64 hex digits.';
COMMENT ON COLUMN accrual_mismatches.pool_address IS 'Contract that holds the pool.';
COMMENT ON COLUMN accrual_mismatches.protocol IS 'v1.0, v1.1 or v2.';
COMMENT ON COLUMN accrual_mismatches.asset_address IS 'The asset that accrued.';
COMMENT ON COLUMN accrual_mismatches.variant IS 'Variant of the maths that predicted.';
COMMENT ON COLUMN accrual_mismatches.field IS 'What differs: last_rate_accumulator, last_full_utilization_rate or fee_shares.';
COMMENT ON COLUMN accrual_mismatches.predicted IS 'What the fold predicted.';
COMMENT ON COLUMN accrual_mismatches.told IS 'What the event told.';
COMMENT ON COLUMN accrual_mismatches.explanation IS 'What was found out about it; NULL: nothing, as after a claim of no fees, which emits no event.';
COMMENT ON COLUMN accrual_mismatches.block_number IS 'Block of the event that told it.';
COMMENT ON COLUMN accrual_mismatches.transaction_index IS 'Position of its transaction in the block.';
COMMENT ON COLUMN accrual_mismatches.event_index IS 'Its position in the transaction.';
COMMENT ON COLUMN accrual_mismatches.timestamp IS 'Block time.';
