-- Whoever keeps a copy of the positions asks for those that an event changed since a block.
-- depends: 0043_versions_by_status

CREATE INDEX idx_vesu_positions_last_event_block ON vesu_positions (last_event_block);
