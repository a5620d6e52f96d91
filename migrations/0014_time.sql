-- Which block was the last one at a time: point-in-time questions ask it.
-- depends: 0011_suspicion
CREATE INDEX idx_blocks_timestamp ON blocks (timestamp, number);
