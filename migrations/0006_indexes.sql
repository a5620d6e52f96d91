-- The 24 indexes of the users' guide, and those that the indexer's own reads need.
-- depends: 0005_transactions
CREATE INDEX idx_vesu_pools_address ON vesu_pools (pool_address);
CREATE INDEX idx_vesu_pools_asset_pair ON vesu_pools (collateral_asset, debt_asset);
CREATE INDEX idx_vesu_pools_is_active ON vesu_pools (is_active);
CREATE INDEX idx_vesu_pools_last_synced ON vesu_pools (last_synced_at);

CREATE INDEX idx_vesu_positions_user_id ON vesu_positions (user_id);
CREATE INDEX idx_vesu_positions_pool_address ON vesu_positions (pool_address);
CREATE INDEX idx_vesu_positions_status ON vesu_positions (status);
CREATE INDEX idx_vesu_positions_health_factor ON vesu_positions (health_factor);
CREATE INDEX idx_vesu_positions_user_pool ON vesu_positions (user_id, pool_address);
CREATE INDEX idx_vesu_positions_status_health ON vesu_positions (status, health_factor);
CREATE INDEX idx_vesu_positions_last_updated ON vesu_positions (last_updated);

CREATE INDEX idx_vesu_transactions_user_id ON vesu_transactions (user_id);
CREATE INDEX idx_vesu_transactions_position_id ON vesu_transactions (position_id);
CREATE INDEX idx_vesu_transactions_hash ON vesu_transactions (transaction_hash);
CREATE INDEX idx_vesu_transactions_type ON vesu_transactions (type);
CREATE INDEX idx_vesu_transactions_status ON vesu_transactions (status);
CREATE INDEX idx_vesu_transactions_user_type ON vesu_transactions (user_id, type);
CREATE INDEX idx_vesu_transactions_created_at ON vesu_transactions (created_at);
CREATE INDEX idx_vesu_transactions_timestamp ON vesu_transactions (timestamp);

CREATE INDEX idx_vesu_liquidations_position_id ON vesu_liquidations (position_id);
CREATE INDEX idx_vesu_liquidations_liquidator ON vesu_liquidations (liquidator_address);
CREATE INDEX idx_vesu_liquidations_hash ON vesu_liquidations (transaction_hash);
CREATE INDEX idx_vesu_liquidations_timestamp ON vesu_liquidations (timestamp);
CREATE INDEX idx_vesu_liquidations_created_at ON vesu_liquidations (created_at);

-- A rollback deletes by block; the log is searched by transaction.
CREATE INDEX idx_vesu_transactions_block ON vesu_transactions (block_number);
CREATE INDEX idx_vesu_liquidations_block ON vesu_liquidations (block_number);
CREATE INDEX idx_events_transaction_hash ON events (transaction_hash);
