ALTER TABLE vesu_positions DROP COLUMN has_invalid_price, DROP COLUMN is_listed;
ALTER TABLE vesu_assets DROP COLUMN is_listed;
ALTER TABLE vesu_pools DROP COLUMN is_listed;
DROP TABLE listed_pools;
