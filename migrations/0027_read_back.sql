-- Verified ranges name the watch list for which they hold; the list says which event named a contract.
-- depends: 0026_watch_role

ALTER TABLE configured_contracts ADD COLUMN is_history_read boolean NOT NULL DEFAULT false;
COMMENT ON TABLE configured_contracts IS 'The configured contracts whose events this database holds, from read_since on; one that is configured later has its history read back first.';
COMMENT ON COLUMN configured_contracts.read_since IS 'First block from which on every event of it was read.';
COMMENT ON COLUMN configured_contracts.is_history_read IS 'Whether a node was asked that it emitted nothing before read_since.';

CREATE VIEW watch_list_version AS
SELECT
    encode(sha256(convert_to(
        string_agg(address || ' ' || kind, ',' ORDER BY address COLLATE "C"), 'UTF8'
    )), 'hex') AS digest,
    count(*) AS contracts
FROM configured_contracts;
COMMENT ON VIEW watch_list_version IS 'Which watch list the log follows. The contracts that events name follow from the configured ones.';
COMMENT ON COLUMN watch_list_version.digest IS 'SHA-256 of address and kind of the configured contracts, in hex; NULL: none is remembered yet.';
COMMENT ON COLUMN watch_list_version.contracts IS 'Number of configured contracts.';

ALTER TABLE verified_ranges ADD COLUMN watch_list text;
COMMENT ON COLUMN verified_ranges.watch_list IS 'Digest of the watch list for which the range was verified (watch_list_version); it counts for no other.';
UPDATE verified_ranges SET watch_list = (SELECT digest FROM watch_list_version);

-- The first version of a contract is written at the event that named it, or, where a constructor
-- speaks before that, in the same transaction.
DROP VIEW watch_list;
CREATE VIEW watch_list AS
SELECT
    address, kind, 'configured' AS origin, from_block, read_since,
    NULL::bigint AS named_block, NULL::integer AS named_transaction, NULL::integer AS named_event
FROM configured_contracts
UNION ALL
SELECT
    c.address, c.kind, 'event', c.created_block, c.created_block,
    v.block_number, v.transaction_index, COALESCE(e.event_index, v.event_index)
FROM contracts c
LEFT JOIN LATERAL (
    SELECT h.block_number, h.transaction_index, h.event_index
    FROM contract_history h
    WHERE h.address = c.address
    ORDER BY h.block_number, h.transaction_index, h.event_index
    LIMIT 1
) v ON true
LEFT JOIN LATERAL (
    SELECT n.event_index
    FROM events n
    WHERE n.block_number = v.block_number AND n.transaction_index = v.transaction_index
        AND (n.name, c.kind) IN (('CreatePool', 'pool_v2'), ('CreateOracle', 'oracle_v2'))
        AND c.address = '0x' || lpad(substr(COALESCE(n.args ->> 'pool', n.args ->> 'oracle'), 3), 64, '0')
    ORDER BY n.event_index
    LIMIT 1
) e ON true
WHERE c.kind NOT IN ('pool_v1_0', 'pool_v1_1')
    AND NOT EXISTS (SELECT FROM configured_contracts f WHERE f.address = c.address);
COMMENT ON VIEW watch_list IS 'Every contract whose events are read: those configured, and those that an event named.';
COMMENT ON COLUMN watch_list.address IS 'Contract address, 0x and 64 hex digits.';
COMMENT ON COLUMN watch_list.kind IS 'Kind and generation.';
COMMENT ON COLUMN watch_list.origin IS 'configured, or event: a contract of the list named it.';
COMMENT ON COLUMN watch_list.from_block IS 'First block that may hold an event of it; for one that an event named, the block of that event.';
COMMENT ON COLUMN watch_list.read_since IS 'First block from which on every event of it is in the log.';
COMMENT ON COLUMN watch_list.named_block IS 'Block of the event that named it; NULL: does not apply, it is configured.';
COMMENT ON COLUMN watch_list.named_transaction IS 'Position of that transaction in the block; NULL: does not apply, it is configured.';
COMMENT ON COLUMN watch_list.named_event IS 'Position of that event in its transaction; NULL: does not apply, it is configured.';
