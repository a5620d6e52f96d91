DROP INDEX idx_events_layout;
DROP INDEX idx_events_emitter;
