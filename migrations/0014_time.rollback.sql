DROP INDEX idx_blocks_timestamp;
