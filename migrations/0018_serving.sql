-- Questions about a block by its hash: the stored one, or one that the chain gave up.
-- depends: 0017_guide_writes
CREATE INDEX idx_blocks_hash ON blocks (hash);
CREATE INDEX idx_orphaned_events_block_hash ON orphaned_events (block_hash);
