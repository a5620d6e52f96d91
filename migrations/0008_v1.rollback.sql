DROP SCHEMA IF EXISTS vesu_shadow CASCADE; -- what a shadow replay left behind
DROP TABLE accrual_mismatches;
ALTER TABLE vesu_position_history DROP COLUMN migrated_block;
ALTER TABLE vesu_positions DROP COLUMN migrated_block;
ALTER TABLE vesu_asset_history DROP COLUMN unowned_shares, DROP COLUMN variant;
ALTER TABLE vesu_assets DROP COLUMN unowned_shares, DROP COLUMN variant;
DELETE FROM contract_history WHERE kind IN ('pool_v1_0', 'pool_v1_1'); -- pools that are no contracts
DELETE FROM contracts WHERE kind IN ('pool_v1_0', 'pool_v1_1');
ALTER TABLE contract_history DROP CONSTRAINT contract_history_pkey,
    ADD PRIMARY KEY (address, block_number, transaction_index, event_index);
ALTER TABLE contracts DROP CONSTRAINT contracts_pkey, ADD PRIMARY KEY (address);
ALTER TABLE contract_history
    DROP COLUMN variants, DROP COLUMN successor, DROP COLUMN extension, DROP COLUMN pool_id;
ALTER TABLE contracts
    DROP COLUMN variants, DROP COLUMN successor, DROP COLUMN extension, DROP COLUMN pool_id;
