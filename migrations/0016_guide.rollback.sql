DROP VIEW vesu_guide.vesu_transactions;
DROP VIEW vesu_guide.vesu_liquidations;
DROP VIEW vesu_guide.vesu_positions;
DROP VIEW vesu_guide.vesu_pools;
DROP TABLE vesu_guide.submissions;
DROP TABLE vesu_guide.users;
DROP SCHEMA vesu_guide;
