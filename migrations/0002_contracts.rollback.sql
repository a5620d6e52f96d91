DROP TABLE contract_history;
DROP TABLE contracts;
