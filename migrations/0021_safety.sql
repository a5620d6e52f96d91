-- Pools that contradict themselves are frozen and say why; what the contract cannot compute is NULL.
-- depends: 0020_valuations

ALTER TABLE contracts ADD COLUMN quarantine_reason text;
COMMENT ON COLUMN contracts.quarantine_reason IS 'Why a pool is frozen: what it said that cannot be; NULL: does not apply, it is not frozen.';
ALTER TABLE contract_history ADD COLUMN quarantine_reason text;
COMMENT ON COLUMN contract_history.quarantine_reason IS 'Why a pool is frozen: what it said that cannot be; NULL: does not apply, it is not frozen.';

ALTER TABLE vesu_pools ADD COLUMN quarantine_reason text;
COMMENT ON COLUMN vesu_pools.quarantine_reason IS 'Why the pool is frozen as it stood before it contradicted itself; NULL: does not apply, it is not frozen.';
ALTER TABLE vesu_pools ADD COLUMN unvalued_reason text;
COMMENT ON COLUMN vesu_pools.unvalued_reason IS 'Why pair_collateral and pair_debt are NULL: the contract itself cannot compute them; NULL: does not apply.';
COMMENT ON COLUMN vesu_pools.supply_apy IS 'Yearly yield of supplying the debt asset, compounded per second over 365 days, at most 1,000,000 (100,000,000 %); NULL: the contract cannot compute the rate.';
COMMENT ON COLUMN vesu_pools.borrow_apy IS 'Yearly cost of borrowing, compounded per second over 365 days, at most 1,000,000 (100,000,000 %); NULL: the contract cannot compute the rate.';
COMMENT ON COLUMN vesu_pools.pair_collateral IS 'Collateral of all positions of the pair in token units, rounded down; NULL: see unvalued_reason.';
COMMENT ON COLUMN vesu_pools.pair_debt IS 'Debt of all positions of the pair in token units, rounded up; NULL: see unvalued_reason.';
COMMENT ON COLUMN vesu_assets.supply_apy IS 'Yearly yield of supplying, compounded per second over 365 days, at most 1,000,000 (100,000,000 %); NULL: the contract cannot compute the rate.';
COMMENT ON COLUMN vesu_assets.borrow_apy IS 'Yearly cost of borrowing, compounded per second over 365 days, at most 1,000,000 (100,000,000 %); NULL: the contract cannot compute the rate.';

ALTER TABLE vesu_positions
    ALTER COLUMN collateral_raw DROP NOT NULL,
    ALTER COLUMN debt_raw DROP NOT NULL,
    ALTER COLUMN collateral_amount DROP NOT NULL,
    ALTER COLUMN debt_amount DROP NOT NULL,
    ADD COLUMN unvalued_reason text;
COMMENT ON COLUMN vesu_positions.unvalued_reason IS 'Why values, or amounts too, are NULL: the contract itself cannot compute them, its views revert; NULL: does not apply.';
