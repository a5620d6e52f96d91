-- Shutdown modes of V1: what a pool's mode at any time is computed from.
-- depends: 0024_fencing

ALTER TABLE contracts
    ADD COLUMN recovery_period numeric(78,0),
    ADD COLUMN subscription_period numeric(78,0),
    ADD COLUMN shutdown_mode text,
    ADD COLUMN violations text;
ALTER TABLE contract_history
    ADD COLUMN recovery_period numeric(78,0),
    ADD COLUMN subscription_period numeric(78,0),
    ADD COLUMN shutdown_mode text,
    ADD COLUMN violations text;
COMMENT ON COLUMN contracts.recovery_period IS 'Of a V1 pool: seconds from the oldest violation to subscription; NULL: does not apply.';
COMMENT ON COLUMN contract_history.recovery_period IS 'Of a V1 pool: seconds from the oldest violation to subscription; NULL: does not apply.';
COMMENT ON COLUMN contracts.subscription_period IS 'Of a V1 pool: seconds from subscription to redemption; NULL: does not apply.';
COMMENT ON COLUMN contract_history.subscription_period IS 'Of a V1 pool: seconds from subscription to redemption; NULL: does not apply.';
COMMENT ON COLUMN contracts.shutdown_mode IS 'Of a V1 pool: the mode that was set, or that its extension told against the times in violations: recovery, subscription, redemption; none: the times and the prices decide; NULL: does not apply.';
COMMENT ON COLUMN contract_history.shutdown_mode IS 'Of a V1 pool: the mode that was set, or that its extension told against the times in violations: recovery, subscription, redemption; none: the times and the prices decide; NULL: does not apply.';
COMMENT ON COLUMN contracts.violations IS 'Of a V1 pool: since when (seconds since 1970) which pairs violate its rules, the oldest first, as collateral/debt=seconds, separated by spaces; NULL: none.';
COMMENT ON COLUMN contract_history.violations IS 'Of a V1 pool: since when (seconds since 1970) which pairs violate its rules, the oldest first, as collateral/debt=seconds, separated by spaces; NULL: none.';

ALTER TABLE vesu_pools ADD COLUMN shutdown_ltv_raw numeric(78,0);
ALTER TABLE vesu_pool_history ADD COLUMN shutdown_ltv_raw numeric(78,0);
COMMENT ON COLUMN vesu_pools.shutdown_ltv_raw IS 'V1: loan-to-value of the whole pair, x 10^18, above which the pool goes into recovery; NULL: no limit, or does not apply.';
COMMENT ON COLUMN vesu_pool_history.shutdown_ltv_raw IS 'V1: loan-to-value of the whole pair, x 10^18, above which the pool goes into recovery; NULL: no limit, or does not apply.';
