ALTER TABLE contract_history DROP COLUMN variant_votes;
ALTER TABLE contracts DROP COLUMN variant_votes;
