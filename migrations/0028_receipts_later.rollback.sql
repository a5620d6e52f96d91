UPDATE blocks SET parent_hash = '' WHERE parent_hash IS NULL;
ALTER TABLE blocks ALTER COLUMN parent_hash SET NOT NULL;
