-- name: read
-- The contracts that the configuration named when the database was filled.
SELECT address, kind, from_block, read_since, class_hash FROM configured_contracts ORDER BY address;

-- name: clear
-- Forget them, where nothing is committed yet.
DELETE FROM configured_contracts;

-- name: add
-- Remember a configured contract.
INSERT INTO configured_contracts (address, kind, from_block, read_since) VALUES ($1, $2, $3, $4);

-- name: note_class
-- Remember the class that stood at the address.
UPDATE configured_contracts SET class_hash = $2 WHERE address = $1;
