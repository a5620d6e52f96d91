ALTER TABLE vesu_pool_history DROP COLUMN shutdown_ltv_raw;
ALTER TABLE vesu_pools DROP COLUMN shutdown_ltv_raw;
ALTER TABLE contract_history
    DROP COLUMN violations,
    DROP COLUMN shutdown_mode,
    DROP COLUMN subscription_period,
    DROP COLUMN recovery_period;
ALTER TABLE contracts
    DROP COLUMN violations,
    DROP COLUMN shutdown_mode,
    DROP COLUMN subscription_period,
    DROP COLUMN recovery_period;
