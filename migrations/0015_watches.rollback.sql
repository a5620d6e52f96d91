DROP INDEX idx_vesu_liquidations_id;
DROP INDEX idx_vesu_transactions_id;
DROP INDEX idx_vesu_positions_id;
DROP TABLE watches;
DROP TABLE wallets;
DROP FUNCTION wallet_uuid(text);
DROP FUNCTION padded_felt(text);
