-- Vesu V1: pools inside a singleton, positions that migrate, the variant of the maths.
-- depends: 0007_status

ALTER TABLE contracts ADD COLUMN pool_id text;
ALTER TABLE contract_history ADD COLUMN pool_id text;
UPDATE contracts SET pool_id = pool_address;
UPDATE contract_history SET pool_id = pool_address;
COMMENT ON COLUMN contracts.pool_id IS 'Pool that it belongs to: its address in V2, its felt id in V1; NULL: none.';
COMMENT ON COLUMN contract_history.pool_id IS 'Pool that it belongs to: its address in V2, its felt id in V1; NULL: none.';
