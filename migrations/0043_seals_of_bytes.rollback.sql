-- Earlier releases would call the newer seals broken.
UPDATE blocks SET seal = NULL WHERE seal LIKE '2:%';
COMMENT ON COLUMN blocks.seal IS 'SHA-256 of our events of the block as they were committed, by which a later loss or change is found without a node; NULL: committed before seals were kept.';
