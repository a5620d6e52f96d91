DROP TABLE vesu_liquidations;
DROP TABLE vesu_transactions;
