-- Fencing: a writer that was taken over from can write nothing more, also after a rollback.
-- depends: 0023_watch_list

ALTER TABLE cursor ADD COLUMN writer_token bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN cursor.writer_token IS 'Raised by each writer that opens the cursor; one with an older token moves nothing.';
