DROP TABLE vesu_positions;
DROP TABLE vesu_assets;
DROP TABLE vesu_pools;
