-- The ids lead the primary keys of transactions and liquidations: a comparison is over at the id,
-- where it went through the text of the pool before, and no second index on the id is needed.
-- Positions are read by pool, and keep theirs. Hashes are only asked for as they are: a hash index
-- takes half of a tree's room.
-- depends: 0038_asset_versions

ALTER TABLE vesu_transactions DROP CONSTRAINT vesu_transactions_pkey, ADD PRIMARY KEY (id, pool_id);
ALTER TABLE vesu_liquidations DROP CONSTRAINT vesu_liquidations_pkey, ADD PRIMARY KEY (id, pool_id);

DROP INDEX idx_vesu_transactions_id;
DROP INDEX idx_vesu_liquidations_id;

CREATE INDEX idx_vesu_transactions_pool_id ON vesu_transactions (pool_id);
CREATE INDEX idx_vesu_liquidations_pool_id ON vesu_liquidations (pool_id);

DROP INDEX idx_vesu_transactions_hash;
CREATE INDEX idx_vesu_transactions_hash ON vesu_transactions USING hash (transaction_hash);
DROP INDEX idx_events_transaction_hash;
CREATE INDEX idx_events_transaction_hash
    ON event_log USING hash (('0x' || encode(transaction_hash, 'hex')));
