DROP VIEW watch_list;
DROP TABLE configured_contracts;
