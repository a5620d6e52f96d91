-- The watch list: the contracts that events are read of, and since which block.
-- depends: 0022_variant_votes

CREATE TABLE configured_contracts (
    address text NOT NULL,
    kind text NOT NULL,
    from_block bigint NOT NULL,
    read_since bigint NOT NULL,
    class_hash text,
    PRIMARY KEY (address)
);
COMMENT ON TABLE configured_contracts IS 'The contracts that the configuration named when this database was filled; a run with others is refused.';
COMMENT ON COLUMN configured_contracts.address IS 'Contract address, 0x and 64 hex digits.';
COMMENT ON COLUMN configured_contracts.kind IS 'Kind and generation, such as pool_factory_v2.';
COMMENT ON COLUMN configured_contracts.from_block IS 'First block that may hold an event of it, as configured.';
COMMENT ON COLUMN configured_contracts.read_since IS 'First block whose events of it were read.';
COMMENT ON COLUMN configured_contracts.class_hash IS 'Class that a node named when it was first read; NULL: not asked yet, or nothing stood there yet.';

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
