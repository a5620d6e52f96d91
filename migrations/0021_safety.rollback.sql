UPDATE vesu_positions
SET collateral_raw = coalesce(collateral_raw, 0),
    debt_raw = coalesce(debt_raw, 0),
    collateral_amount = coalesce(collateral_amount, 0),
    debt_amount = coalesce(debt_amount, 0)
WHERE unvalued_reason IS NOT NULL;
ALTER TABLE vesu_positions
    DROP COLUMN unvalued_reason,
    ALTER COLUMN collateral_raw SET NOT NULL,
    ALTER COLUMN debt_raw SET NOT NULL,
    ALTER COLUMN collateral_amount SET NOT NULL,
    ALTER COLUMN debt_amount SET NOT NULL;
ALTER TABLE vesu_pools DROP COLUMN unvalued_reason;
ALTER TABLE vesu_pools DROP COLUMN quarantine_reason;
ALTER TABLE contract_history DROP COLUMN quarantine_reason;
ALTER TABLE contracts DROP COLUMN quarantine_reason;
