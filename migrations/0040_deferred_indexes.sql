-- Which indexes a long first fill has dropped: the daemon makes them again before the head.
-- depends: 0039_keys

CREATE TABLE deferred_indexes (
    name text PRIMARY KEY
);
COMMENT ON TABLE deferred_indexes IS 'Indexes that a long first fill has dropped, until the daemon makes them again before the head. Empty at all other times.';
COMMENT ON COLUMN deferred_indexes.name IS 'Name of the index, as its migration has it.';
