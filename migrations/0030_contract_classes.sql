-- Pools and factories whose class this release does not know say so.
-- depends: 0029_listed_pools

CREATE TABLE contract_classes (
    address text NOT NULL,
    kind text NOT NULL,
    class_hash text NOT NULL,
    class_name text,
    told_by_event text,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (address)
);
COMMENT ON TABLE contract_classes IS 'Classes that a node named at the head for factories, pools, oracles, singletons and extensions.';
COMMENT ON COLUMN contract_classes.address IS 'Contract address, 0x and 64 hex digits.';
COMMENT ON COLUMN contract_classes.kind IS 'Kind and generation.';
COMMENT ON COLUMN contract_classes.class_hash IS 'Hash of its class, 0x and 64 hex digits.';
COMMENT ON COLUMN contract_classes.class_name IS 'What the class is; NULL: this release does not know it.';
COMMENT ON COLUMN contract_classes.told_by_event IS 'Class that its last upgrade told before the node was asked; NULL: none did.';
COMMENT ON COLUMN contract_classes.checked_at IS 'Wall-clock time of the node''s answer.';

ALTER TABLE vesu_pools ADD COLUMN unknown_class text;
COMMENT ON COLUMN vesu_pools.unknown_class IS 'Class hash of the pool''s contract, in V1 of its singleton or extension, that this release does not know: what it does is nobody''s word; NULL: it is known, or no node was asked yet.';
