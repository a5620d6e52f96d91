DROP TABLE vesu_position_history;
DROP TABLE vesu_asset_history;
DROP TABLE vesu_pool_history;
DROP INDEX idx_contract_history_block;
