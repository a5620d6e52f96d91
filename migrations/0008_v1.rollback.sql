DROP SCHEMA IF EXISTS vesu_shadow CASCADE; -- what a shadow replay left behind
ALTER TABLE contract_history DROP COLUMN pool_id;
ALTER TABLE contracts DROP COLUMN pool_id;
