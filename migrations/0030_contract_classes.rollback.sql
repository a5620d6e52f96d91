ALTER TABLE vesu_pools DROP COLUMN unknown_class;
DROP TABLE contract_classes;
