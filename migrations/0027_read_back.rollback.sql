DROP VIEW watch_list;
ALTER TABLE verified_ranges DROP COLUMN watch_list;
DROP VIEW watch_list_version;
ALTER TABLE configured_contracts DROP COLUMN is_history_read;
COMMENT ON TABLE configured_contracts IS 'The contracts that the configuration named when this database was filled; a run with others is refused.';
COMMENT ON COLUMN configured_contracts.read_since IS 'First block whose events of it were read.';
CREATE VIEW watch_list AS
SELECT address, kind, 'configured' AS origin, from_block, read_since FROM configured_contracts
UNION ALL
SELECT c.address, c.kind, 'event', c.created_block, c.created_block
FROM contracts c
WHERE c.kind NOT IN ('pool_v1_0', 'pool_v1_1')
    AND NOT EXISTS (SELECT FROM configured_contracts f WHERE f.address = c.address);
COMMENT ON VIEW watch_list IS 'Every contract whose events are read: those configured, and those that an event named.';
COMMENT ON COLUMN watch_list.address IS 'Contract address, 0x and 64 hex digits.';
COMMENT ON COLUMN watch_list.kind IS 'Kind and generation.';
COMMENT ON COLUMN watch_list.origin IS 'configured, or event: a contract of the list named it.';
COMMENT ON COLUMN watch_list.from_block IS 'First block that may hold an event of it; for one that an event named, the block of that event.';
COMMENT ON COLUMN watch_list.read_since IS 'First block whose events of it were read.';
