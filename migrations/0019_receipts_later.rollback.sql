UPDATE blocks SET parent_hash = '' WHERE parent_hash IS NULL;
DROP INDEX idx_blocks_by_events_alone;
ALTER TABLE blocks ALTER COLUMN parent_hash SET NOT NULL;
