DROP SCHEMA IF EXISTS vesu_shadow CASCADE; -- what a shadow replay left behind
ALTER VIEW events RENAME TO events_packed;
DROP INDEX idx_events_transaction_hash;
DROP INDEX idx_events_undecoded;

CREATE TABLE events (
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    block_hash text NOT NULL,
    transaction_hash text NOT NULL,
    from_address text NOT NULL,
    keys text[] NOT NULL,
    data text[] NOT NULL,
    contract text,
    name text,
    args jsonb,
    PRIMARY KEY (block_number, transaction_index, event_index)
);
COMMENT ON TABLE events IS 'The raw log: every event of every contract of ours, append-only. contract, name and args are derived and rewritten by a replay.';
COMMENT ON COLUMN events.block_number IS 'Block number.';
COMMENT ON COLUMN events.transaction_index IS 'Position of the transaction in its block.';
COMMENT ON COLUMN events.event_index IS 'Position of the event in its transaction.';
COMMENT ON COLUMN events.block_hash IS 'Hash of the block, 0x and 64 hex digits.';
COMMENT ON COLUMN events.transaction_hash IS 'Hash of the transaction, 0x and 64 hex digits.';
COMMENT ON COLUMN events.from_address IS 'Contract that emitted the event, 0x and 64 hex digits.';
COMMENT ON COLUMN events.keys IS 'Keys as the chain gives them: felts in minimal hex.';
COMMENT ON COLUMN events.data IS 'Data as the chain gives them: felts in minimal hex.';
COMMENT ON COLUMN events.contract IS 'Kind and generation of the contract, such as pool_v2.';
COMMENT ON COLUMN events.name IS 'Name of the event; NULL: its selector is not known or its payload does not fit.';
COMMENT ON COLUMN events.args IS 'Decoded arguments, integers as strings; NULL: could not be decoded.';

INSERT INTO events SELECT * FROM events_packed
ORDER BY block_number, transaction_index, event_index;

DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee,
            a.is_grantable
        FROM pg_class c
        CROSS JOIN aclexplode(c.relacl) a
        WHERE c.oid = 'events_packed'::regclass AND a.privilege_type = 'SELECT'
            AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT ON events TO %s%s',
            granted.grantee, CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END
$$;

CREATE OR REPLACE VIEW watch_list AS
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

DROP VIEW events_packed;
DROP FUNCTION write_event();
DROP FUNCTION pack_felts(text[]);
DROP FUNCTION event_args(bytea, bytea, integer, text[]);
DROP FUNCTION event_felts(bytea);
DROP TABLE event_log;
DROP TABLE event_layouts;
DROP TABLE event_emitters;

CREATE INDEX idx_events_transaction_hash ON events (transaction_hash);
CREATE INDEX idx_events_undecoded ON events (from_address, (keys[1])) WHERE name IS NULL;
