DROP INDEX idx_events_transaction_hash;
CREATE INDEX idx_events_transaction_hash ON event_log (('0x' || encode(transaction_hash, 'hex')));
DROP INDEX idx_vesu_transactions_hash;
CREATE INDEX idx_vesu_transactions_hash ON vesu_transactions (transaction_hash);

DROP INDEX idx_vesu_liquidations_pool_id;
DROP INDEX idx_vesu_transactions_pool_id;

CREATE INDEX idx_vesu_transactions_id ON vesu_transactions (id);
CREATE INDEX idx_vesu_liquidations_id ON vesu_liquidations (id);

ALTER TABLE vesu_liquidations DROP CONSTRAINT vesu_liquidations_pkey, ADD PRIMARY KEY (pool_id, id);
ALTER TABLE vesu_transactions DROP CONSTRAINT vesu_transactions_pkey, ADD PRIMARY KEY (pool_id, id);
