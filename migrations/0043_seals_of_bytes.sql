-- Seals are made of the bytes that the log holds; those of earlier releases stay valid.
-- depends: 0042_versions_by_status

COMMENT ON COLUMN blocks.seal IS 'SHA-256 of our events of the block as they were committed, by which a later loss or change is found without a node: of their bytes after "2:", of their JSON text without it; NULL: committed before seals were kept.';
