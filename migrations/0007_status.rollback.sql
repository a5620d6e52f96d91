DROP VIEW indexer_status;
