-- Positions that were closed or liquidated at a block are found among those that ever were.
-- depends: 0041_event_indexes

CREATE INDEX idx_position_versions_status ON position_versions (status, id, block_number)
WHERE status <> 'active';
