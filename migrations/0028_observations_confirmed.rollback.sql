DROP TABLE observation_gaps;
ALTER TABLE observations DROP COLUMN confirmed_at;
