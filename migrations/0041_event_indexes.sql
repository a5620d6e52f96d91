-- The events of a name or of a contract are found without a look at all others. Equal numbers of one
-- block share an entry: both take 27 bytes an event together.
-- depends: 0040_deferred_indexes

CREATE INDEX idx_events_layout ON event_log (decoded_as, block_number);
CREATE INDEX idx_events_emitter ON event_log (emitter, block_number);
