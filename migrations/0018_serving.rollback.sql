DROP INDEX idx_orphaned_events_block_hash;
DROP INDEX idx_blocks_hash;
