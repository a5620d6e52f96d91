-- Transactions of a rarely used asset, and the largest of them, are found without a look at all others.
-- Of an asset each entry holds many rows; the three take some 40 bytes a transaction together.
-- depends: 0043_seals_of_bytes

CREATE INDEX idx_vesu_transactions_asset ON vesu_transactions (asset);
CREATE INDEX idx_vesu_transactions_asset_address ON vesu_transactions (asset_address);
CREATE INDEX idx_vesu_transactions_amount ON vesu_transactions (amount);
