DROP SCHEMA IF EXISTS vesu_shadow CASCADE; -- what a shadow replay left behind
DROP TABLE vesu_positions;
DROP TABLE vesu_assets;
DROP TABLE vesu_pools;
