-- The log packed: felts as bytes, addresses and layouts once, arguments made when they are read.
-- depends: 0034_fillfactor

ALTER TABLE events RENAME TO events_unpacked;
ALTER INDEX events_pkey RENAME TO events_unpacked_pkey;
ALTER INDEX idx_events_transaction_hash RENAME TO idx_events_unpacked_transaction_hash;
DROP INDEX idx_events_undecoded;

CREATE TABLE event_emitters (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address text NOT NULL,
    contract text,
    UNIQUE (address, contract)
);
COMMENT ON TABLE event_emitters IS 'The contracts that emitted the events of event_log.';
COMMENT ON COLUMN event_emitters.id IS 'Running number.';
COMMENT ON COLUMN event_emitters.address IS 'Contract address, 0x and 64 hex digits.';
COMMENT ON COLUMN event_emitters.contract IS 'Kind and generation of the contract, such as pool_v2; NULL: not known.';

CREATE TABLE event_layouts (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    selectors integer NOT NULL,
    steps text[] NOT NULL
);
COMMENT ON TABLE event_layouts IS 'By which layouts the events of event_log were decoded.';
COMMENT ON COLUMN event_layouts.id IS 'Running number.';
COMMENT ON COLUMN event_layouts.name IS 'Name of the event.';
COMMENT ON COLUMN event_layouts.selectors IS 'How many of the keys are selectors.';
COMMENT ON COLUMN event_layouts.steps IS 'How the felts after the selectors become args: JSON text and, between each two pieces, the kind of the next value: felt, bool, number, u256, i257, text; or list, the steps of an item, and end.';

CREATE TABLE event_log (
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    emitter integer NOT NULL,
    decoded_as integer,
    transaction_hash bytea NOT NULL,
    keys bytea NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (block_number, transaction_index, event_index)
);
COMMENT ON TABLE event_log IS 'The raw log as it is stored: every event of every contract of ours, append-only. The view events shows it. emitter and decoded_as are derived and rewritten by a replay.';
COMMENT ON COLUMN event_log.block_number IS 'Block number; the hash of the block is in blocks.';
COMMENT ON COLUMN event_log.transaction_index IS 'Position of the transaction in its block.';
COMMENT ON COLUMN event_log.event_index IS 'Position of the event in its transaction.';
COMMENT ON COLUMN event_log.emitter IS 'Contract that emitted the event: event_emitters.id.';
COMMENT ON COLUMN event_log.decoded_as IS 'Layout by which the event is decoded: event_layouts.id; NULL: its selector is not known or its payload does not fit.';
COMMENT ON COLUMN event_log.transaction_hash IS 'Hash of the transaction, 32 bytes.';
COMMENT ON COLUMN event_log.keys IS 'Keys: of each felt the number of its bytes, which is one byte, and the bytes, big-endian and without leading zeros.';
COMMENT ON COLUMN event_log.data IS 'Data, written as the keys are.';

CREATE FUNCTION event_felts(packed bytea) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    felts text[] := '{}';
    at integer := 0;
    bytes integer;
BEGIN
    WHILE at < octet_length(packed) LOOP
        bytes := get_byte(packed, at);
        felts := array_append(felts, CASE bytes
            WHEN 0 THEN '0x0'
            ELSE '0x' || ltrim(encode(substr(packed, at + 2, bytes), 'hex'), '0')
        END);
        at := at + 1 + bytes;
    END LOOP;
    RETURN felts;
END
$$;
COMMENT ON FUNCTION event_felts(bytea) IS 'Keys or data of event_log as the chain gives them: felts in minimal hex.';

-- It calls nothing but PostgreSQL's own functions: whoever reads the view, with whatever
-- search_path, needs to find no other.
CREATE FUNCTION event_args(keys bytea, data bytea, selectors integer, steps text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    packed bytea := keys || data;
    size integer := octet_length(packed);
    at integer := 0;
    bytes integer;
    step integer := 1;
    kind text;
    shown text := steps[1];
    hex text;
    words integer;
    high integer;
    digits integer;
    is_negative boolean := false;
    number numeric;
    raw bytea;
    valid bytea;
    run integer;
    i integer;
    follow integer;
    least_next integer;
    most_next integer;
    starts integer[] := '{}';
    items integer[] := '{}';
    depth integer := 0;
    inner_lists integer;
BEGIN
    FOR skipped IN 1 .. selectors LOOP
        IF at >= size THEN
            RETURN NULL;
        END IF;
        at := at + 1 + get_byte(packed, at);
    END LOOP;
    WHILE step < cardinality(steps) LOOP
        kind := steps[step + 1];
        step := step + 2;
        IF kind = 'end' THEN
            IF items[depth] > 1 THEN
                items[depth] := items[depth] - 1;
                step := starts[depth];
                shown := shown || ', ' || steps[step];
                CONTINUE;
            END IF;
            depth := depth - 1;
            shown := shown || ']' || steps[step];
            CONTINUE;
        END IF;
        -- A layout that asks for more felts than there are shows nothing.
        IF at >= size THEN
            RETURN NULL;
        END IF;
        bytes := get_byte(packed, at);
        hex := encode(substr(packed, at + 2, bytes), 'hex');
        at := at + 1 + bytes;
        IF kind IN ('u256', 'number', 'i257') THEN
            IF kind <> 'number' THEN
                IF at >= size THEN
                    RETURN NULL;
                END IF;
                high := get_byte(packed, at);
                IF high > 0 THEN
                    hex := encode(substr(packed, at + 2, high), 'hex') || lpad(hex, 32, '0');
                END IF;
                at := at + 1 + high;
                IF kind = 'i257' THEN
                    IF at >= size THEN
                        RETURN NULL;
                    END IF;
                    IF get_byte(packed, at) > 0 THEN
                        is_negative := hex <> '';
                        at := at + 1;
                    END IF;
                    at := at + 1;
                END IF;
            END IF;
            digits := length(hex);
            IF digits = 0 THEN
                shown := shown || '"0"' || steps[step];
                CONTINUE;
            END IF;
            IF is_negative THEN
                shown := shown || '"-';
                is_negative := false;
            ELSE
                shown := shown || '"';
            END IF;
            -- 15 digits are 60 bits, which an integer of PostgreSQL holds.
            IF digits <= 15 THEN
                shown := shown || ('x' || lpad(hex, 15, '0'))::bit(60)::bigint || '"' || steps[step];
            ELSIF digits <= 30 THEN
                shown := shown || (('x' || lpad(left(hex, digits - 15), 15, '0'))::bit(60)::bigint * 1152921504606846976.
                    + ('x' || right(hex, 15))::bit(60)::bigint) || '"' || steps[step];
            ELSE
                hex := lpad(hex, (digits + 14) / 15 * 15, '0');
                number := 0;
                FOR part IN 0 .. length(hex) / 15 - 1 LOOP
                    number := number * 1152921504606846976
                        + ('x' || substr(hex, part * 15 + 1, 15))::bit(60)::bigint;
                END LOOP;
                shown := shown || number || '"' || steps[step];
            END IF;
        ELSIF kind = 'felt' THEN
            shown := shown || '"0x' || lpad(hex, 64, '0') || '"' || steps[step];
            CONTINUE;
        ELSIF kind = 'bool' THEN
            shown := shown || CASE bytes WHEN 0 THEN 'false' ELSE 'true' END || steps[step];
            CONTINUE;
        ELSIF kind = 'list' THEN
            -- A length of more than four bytes is no length.
            IF bytes > 3 THEN
                RETURN NULL;
            END IF;
            words := ('x' || lpad(hex, 8, '0'))::bit(32)::integer;
            IF words > 0 THEN
                depth := depth + 1;
                starts[depth] := step;
                items[depth] := words;
                shown := shown || '[' || steps[step];
                CONTINUE;
            END IF;
            inner_lists := 1;
            WHILE inner_lists > 0 LOOP
                inner_lists := inner_lists
                    + CASE steps[step + 1] WHEN 'list' THEN 1 WHEN 'end' THEN -1 ELSE 0 END;
                step := step + 2;
            END LOOP;
            shown := shown || '[]' || steps[step];
            CONTINUE;
        ELSIF kind = 'text' THEN
            IF bytes > 3 THEN
                RETURN NULL;
            END IF;
            words := ('x' || lpad(hex, 8, '0'))::bit(32)::integer;
            hex := '';
            FOR word IN 1 .. words LOOP
                IF at >= size THEN
                    RETURN NULL;
                END IF;
                bytes := get_byte(packed, at);
                hex := hex || lpad(encode(substr(packed, at + 2, bytes), 'hex'), 62, '0');
                at := at + 1 + bytes;
            END LOOP;
            IF at + 1 >= size THEN
                RETURN NULL;
            END IF;
            -- The word that is not full, and behind it how many bytes it has.
            bytes := get_byte(packed, at);
            run := at + 2;
            at := at + 1 + bytes;
            IF at >= size OR get_byte(packed, at) > 1 THEN
                RETURN NULL;
            END IF;
            i := CASE get_byte(packed, at) WHEN 0 THEN 0 ELSE get_byte(packed, at + 1) END;
            hex := hex || lpad(encode(substr(packed, run, bytes), 'hex'), 2 * i, '0');
            at := at + 1 + get_byte(packed, at);
            raw := decode(hex, 'hex');
            IF position('\' IN encode(raw, 'escape')) = 0 THEN
                shown := shown || to_json(encode(raw, 'escape'))::text || steps[step];
                CONTINUE;
            END IF;
            -- U+FFFD stands for NUL, and for each longest beginning of a character that is none.
            valid := '';
            run := 0;
            i := 0;
            words := octet_length(raw);
            WHILE i < words LOOP
                bytes := get_byte(raw, i);
                IF bytes BETWEEN 1 AND 127 THEN
                    i := i + 1;
                    CONTINUE;
                END IF;
                least_next := CASE bytes WHEN 224 THEN 160 WHEN 240 THEN 144 ELSE 128 END;
                most_next := CASE bytes WHEN 237 THEN 159 WHEN 244 THEN 143 ELSE 191 END;
                follow := CASE
                    WHEN bytes BETWEEN 194 AND 223 THEN 1
                    WHEN bytes BETWEEN 224 AND 239 THEN 2
                    WHEN bytes BETWEEN 240 AND 244 THEN 3
                    ELSE 0
                END;
                valid := valid || substr(raw, run + 1, i - run);
                run := i;
                i := i + 1;
                WHILE follow > 0 AND i < words LOOP
                    EXIT WHEN get_byte(raw, i) NOT BETWEEN least_next AND most_next;
                    least_next := 128;
                    most_next := 191;
                    follow := follow - 1;
                    i := i + 1;
                END LOOP;
                IF follow > 0 OR bytes NOT BETWEEN 194 AND 244 THEN
                    valid := valid || '\xefbfbd'::bytea;
                    run := i;
                END IF;
            END LOOP;
            valid := valid || substr(raw, run + 1);
            shown := shown || to_json(convert_from(valid, 'UTF8'))::text || steps[step];
            CONTINUE;
        END IF;
    END LOOP;
    -- So does one that leaves felts over. Without selectors it is a text that was kept.
    IF at < size AND selectors > 0 THEN
        RETURN NULL;
    END IF;
    RETURN shown::jsonb;
END
$$;
COMMENT ON FUNCTION event_args(bytea, bytea, integer, text[]) IS 'Decoded arguments of an event of event_log, by the selectors and steps of its layout.';

CREATE VIEW events AS
SELECT
    l.block_number, l.transaction_index, l.event_index, b.hash AS block_hash,
    '0x' || encode(l.transaction_hash, 'hex') AS transaction_hash, m.address AS from_address,
    event_felts(l.keys) AS keys, event_felts(l.data) AS data, m.contract, y.name,
    event_args(l.keys, l.data, y.selectors, y.steps) AS args
FROM event_log l
LEFT JOIN event_emitters m ON m.id = l.emitter
LEFT JOIN event_layouts y ON y.id = l.decoded_as
LEFT JOIN blocks b ON b.number = l.block_number;
COMMENT ON VIEW events IS 'The raw log: every event of every contract of ours, append-only. contract, name and args are derived and rewritten by a replay.';
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

CREATE FUNCTION pack_felts(felts text[]) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT COALESCE(decode(string_agg(
        CASE digits
            WHEN '' THEN '00'
            ELSE lpad(to_hex((length(digits) + 1) / 2), 2, '0')
                || lpad(digits, (length(digits) + 1) / 2 * 2, '0')
        END, '' ORDER BY place), 'hex'), '')
    FROM (
        SELECT place, ltrim(substr(felt, 3), '0') AS digits
        FROM unnest(felts) WITH ORDINALITY AS f (felt, place)
    ) AS cut
$$;
COMMENT ON FUNCTION pack_felts(text[]) IS 'Felts in hex as event_log holds them; event_felts gives them back.';

-- Whoever may write event_log may write the view, as it was when it was a table.
CREATE FUNCTION write_event() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    emitter_id integer;
    layout_id integer;
    packed_keys bytea;
    packed_data bytea;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM event_log
        WHERE (block_number, transaction_index, event_index)
            = (OLD.block_number, OLD.transaction_index, OLD.event_index);
        RETURN OLD;
    END IF;
    IF NEW.block_hash IS DISTINCT FROM (SELECT hash FROM blocks WHERE number = NEW.block_number) THEN
        RAISE EXCEPTION 'an event of block % must have the hash that blocks holds', NEW.block_number;
    END IF;
    packed_keys := pack_felts(NEW.keys);
    packed_data := pack_felts(NEW.data);
    SELECT id INTO emitter_id
    FROM event_emitters
    WHERE address = NEW.from_address AND contract IS NOT DISTINCT FROM NEW.contract;
    IF emitter_id IS NULL THEN
        INSERT INTO event_emitters (address, contract)
        VALUES (NEW.from_address, NEW.contract)
        RETURNING id INTO emitter_id;
    END IF;
    IF NEW.name IS NOT NULL THEN
        SELECT id INTO layout_id
        FROM event_layouts
        WHERE name = NEW.name
            AND event_args(packed_keys, packed_data, selectors, steps) IS NOT DISTINCT FROM NEW.args
        ORDER BY id
        LIMIT 1;
        IF layout_id IS NULL THEN
            -- No layout shows these arguments: they are the only step of one of their own.
            INSERT INTO event_layouts (name, selectors, steps)
            VALUES (NEW.name, 0, ARRAY[COALESCE(NEW.args::text, 'null')])
            RETURNING id INTO layout_id;
        END IF;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        UPDATE event_log
        SET block_number = NEW.block_number,
            transaction_index = NEW.transaction_index,
            event_index = NEW.event_index,
            emitter = emitter_id,
            decoded_as = layout_id,
            transaction_hash = decode(substr(NEW.transaction_hash, 3), 'hex'),
            keys = packed_keys,
            data = packed_data
        WHERE (block_number, transaction_index, event_index)
            = (OLD.block_number, OLD.transaction_index, OLD.event_index);
    ELSE
        INSERT INTO event_log (block_number, transaction_index, event_index, emitter, decoded_as,
            transaction_hash, keys, data)
        VALUES (NEW.block_number, NEW.transaction_index, NEW.event_index, emitter_id, layout_id,
            decode(substr(NEW.transaction_hash, 3), 'hex'), packed_keys, packed_data);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION write_event() IS 'Writes to event_log what is inserted into, updated in or deleted from events.';
CREATE TRIGGER write_event INSTEAD OF INSERT OR UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION write_event();

-- What roles were granted on the table they have on the view; the indexer writes as the owner.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee,
            a.is_grantable
        FROM pg_class c
        CROSS JOIN aclexplode(c.relacl) a
        WHERE c.oid = 'events_unpacked'::regclass AND a.privilege_type = 'SELECT'
            AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT ON events, event_log, event_emitters, event_layouts TO %s%s',
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

-- The layouts of the events that releases up to this one decode.
CREATE TABLE known_layouts (
    name text NOT NULL,
    contracts text[] NOT NULL,
    selectors integer NOT NULL,
    key_felts integer,
    data_felts integer,
    steps text[] NOT NULL
);
INSERT INTO known_layouts (name, contracts, selectors, key_felts, data_felts, steps)
VALUES
    ('AccrueFees', '{singleton_v1_0,singleton_v1_1}', 1, 3, 2,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"recipient\": ","felt",", \"fee_shares\": ","u256","}"}'),
    ('AccrueFees', '{singleton_v1_0}', 1, 4, 4,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"recipient\": ","felt",", \"collateral_asset_fee_shares\": ","u256",", \"debt_asset_fee_shares\": ","u256","}"}'),
    ('AddAsset', '{pool_factory_v2}', 1, 2, 0,
        '{"{\"pool\": ","felt",", \"asset\": ","felt","}"}'),
    ('Approval', '{vtoken_v1_0,vtoken_v1_1,vtoken_v2}', 1, 2, 2,
        '{"{\"owner\": ","felt",", \"spender\": ","felt",", \"value\": ","u256","}"}'),
    ('ClaimFees', '{pool_v2}', 1, 1, 5,
        '{"{\"asset\": ","felt",", \"recipient\": ","felt",", \"fee_shares\": ","u256",", \"fee_amount\": ","u256","}"}'),
    ('ClaimFees', '{extension_v1_0,extension_v1_0_genesis,extension_v1_1}', 2, 1, 5,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"recipient\": ","felt",", \"amount\": ","u256","}"}'),
    ('ContractPaused', '{pool_v2}', 1, 0, 1,
        '{"{\"account\": ","felt","}"}'),
    ('ContractUnpaused', '{pool_v2}', 1, 0, 1,
        '{"{\"account\": ","felt","}"}'),
    ('ContractUpgraded', '{extension_v1_1,pool_factory_v2,pool_v2,singleton_v1_1}', 1, 0, 1,
        '{"{\"new_implementation\": ","felt","}"}'),
    ('ContractUpgraded', '{oracle_v2}', 1, 1, 0,
        '{"{\"new_implementation\": ","felt","}"}'),
    ('CreateOracle', '{pool_factory_v2}', 1, 2, 0,
        '{"{\"oracle\": ","felt",", \"manager\": ","felt","}"}'),
    ('CreatePool', '{singleton_v1_0,singleton_v1_1}', 1, 3, 0,
        '{"{\"pool_id\": ","felt",", \"extension\": ","felt",", \"creator\": ","felt","}"}'),
    ('CreatePool', '{pool_factory_v2}', 1, 5, 0,
        '{"{\"pool\": ","felt",", \"name\": ","felt",", \"owner\": ","felt",", \"curator\": ","felt",", \"oracle\": ","felt","}"}'),
    ('CreateVToken', '{pool_factory_v2}', 1, NULL, 0,
        '{"{\"pool\": ","felt",", \"asset\": ","felt",", \"v_token\": ","felt",", \"v_token_name\": ","text",", \"v_token_symbol\": ","text","}"}'),
    ('CreateVToken', '{extension_v1_1}', 1, 3, 0,
        '{"{\"v_token\": ","felt",", \"pool_id\": ","felt",", \"collateral_asset\": ","felt","}"}'),
    ('CreateVToken', '{extension_v1_0,extension_v1_1}', 2, 3, 0,
        '{"{\"v_token\": ","felt",", \"pool_id\": ","felt",", \"collateral_asset\": ","felt","}"}'),
    ('Deposit', '{vtoken_v1_0,vtoken_v1_1,vtoken_v2}', 1, 2, 4,
        '{"{\"sender\": ","felt",", \"owner\": ","felt",", \"assets\": ","u256",", \"shares\": ","u256","}"}'),
    ('Donate', '{pool_v2}', 1, 1, 2,
        '{"{\"asset\": ","felt",", \"amount\": ","u256","}"}'),
    ('Donate', '{singleton_v1_0,singleton_v1_1}', 1, 2, 2,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"amount\": ","u256","}"}'),
    ('Flashloan', '{pool_v2,singleton_v1_0,singleton_v1_1}', 1, 3, 2,
        '{"{\"sender\": ","felt",", \"receiver\": ","felt",", \"asset\": ","felt",", \"amount\": ","u256","}"}'),
    ('LiquidatePosition', '{pool_v2}', 1, 4, 14,
        '{"{\"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"user\": ","felt",", \"liquidator\": ","felt",", \"collateral_delta\": ","i257",", \"collateral_shares_delta\": ","i257",", \"debt_delta\": ","i257",", \"nominal_debt_delta\": ","i257",", \"bad_debt\": ","u256","}"}'),
    ('LiquidatePosition', '{singleton_v1_0,singleton_v1_1}', 1, 5, 14,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"user\": ","felt",", \"liquidator\": ","felt",", \"collateral_delta\": ","i257",", \"collateral_shares_delta\": ","i257",", \"debt_delta\": ","i257",", \"nominal_debt_delta\": ","i257",", \"bad_debt\": ","u256","}"}'),
    ('MigratePosition', '{singleton_v1_1}', 1, 5, 4,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"from\": ","felt",", \"to\": ","felt",", \"collateral_shares\": ","u256",", \"nominal_debt\": ","u256","}"}'),
    ('ModifyDelegation', '{pool_v2}', 1, 2, 1,
        '{"{\"delegator\": ","felt",", \"delegatee\": ","felt",", \"delegation\": ","bool","}"}'),
    ('ModifyDelegation', '{singleton_v1_0,singleton_v1_1}', 1, 3, 1,
        '{"{\"pool_id\": ","felt",", \"delegator\": ","felt",", \"delegatee\": ","felt",", \"delegation\": ","bool","}"}'),
    ('ModifyPosition', '{pool_v2}', 1, 3, 12,
        '{"{\"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"user\": ","felt",", \"collateral_delta\": ","i257",", \"collateral_shares_delta\": ","i257",", \"debt_delta\": ","i257",", \"nominal_debt_delta\": ","i257","}"}'),
    ('ModifyPosition', '{singleton_v1_0,singleton_v1_1}', 1, 4, 12,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"user\": ","felt",", \"collateral_delta\": ","i257",", \"collateral_shares_delta\": ","i257",", \"debt_delta\": ","i257",", \"nominal_debt_delta\": ","i257","}"}'),
    ('NominateCurator', '{pool_v2}', 1, 1, 0,
        '{"{\"pending_curator\": ","felt","}"}'),
    ('NominateManager', '{oracle_v2}', 1, 1, 0,
        '{"{\"pending_manager\": ","felt","}"}'),
    ('OwnershipTransferStarted', '{oracle_v2,pool_factory_v2,pool_v2,singleton_v1_1}', 1, 2, 0,
        '{"{\"previous_owner\": ","felt",", \"new_owner\": ","felt","}"}'),
    ('OwnershipTransferred', '{oracle_v2,pool_factory_v2,pool_v2,singleton_v1_1}', 1, 2, 0,
        '{"{\"previous_owner\": ","felt",", \"new_owner\": ","felt","}"}'),
    ('RetrieveReserve', '{singleton_v1_0,singleton_v1_1}', 1, 3, 0,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"receiver\": ","felt","}"}'),
    ('SetAssetConfig', '{pool_v2}', 1, 1, 22,
        '{"{\"asset\": ","felt",", \"asset_config\": {\"total_collateral_shares\": ","u256",", \"total_nominal_debt\": ","u256",", \"reserve\": ","u256",", \"max_utilization\": ","u256",", \"floor\": ","u256",", \"scale\": ","u256",", \"is_legacy\": ","bool",", \"last_updated\": ","number",", \"last_rate_accumulator\": ","u256",", \"last_full_utilization_rate\": ","u256",", \"fee_rate\": ","u256",", \"fee_shares\": ","u256","}}"}'),
    ('SetAssetConfig', '{singleton_v1_0,singleton_v1_1}', 1, 2, 0,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt","}"}'),
    ('SetAssetParameter', '{extension_v1_0,extension_v1_0_genesis,extension_v1_1,singleton_v1_0,singleton_v1_1}', 1, 3, 2,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"parameter\": ","felt",", \"value\": ","u256","}"}'),
    ('SetChainlinkOracleConfig', '{extension_v1_0}', 2, 0, 4,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"chainlink_oracle_config\": {\"aggregator\": ","felt",", \"timeout\": ","number","}}"}'),
    ('SetChainlinkOracleParameter', '{extension_v1_0}', 2, 0, 4,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"parameter\": ","felt",", \"value\": ","felt","}"}'),
    ('SetCurator', '{pool_v2}', 1, 1, 0,
        '{"{\"curator\": ","felt","}"}'),
    ('SetDebtCap', '{extension_v1_1}', 1, 3, 2,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"debt_cap\": ","u256","}"}'),
    ('SetDebtCap', '{extension_v1_0,extension_v1_1}', 2, 3, 2,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"debt_cap\": ","u256","}"}'),
    ('SetEkuboOracleConfig', '{extension_v1_0}', 2, 0, 4,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"ekubo_oracle_config\": {\"decimals\": ","number",", \"period\": ","number","}}"}'),
    ('SetEkuboOracleParameter', '{extension_v1_0}', 2, 0, 4,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"parameter\": ","felt",", \"value\": ","felt","}"}'),
    ('SetExtension', '{singleton_v1_0,singleton_v1_1}', 1, 2, 0,
        '{"{\"pool_id\": ","felt",", \"extension\": ","felt","}"}'),
    ('SetExtensionWhitelist', '{singleton_v1_1}', 1, 1, 1,
        '{"{\"extension\": ","felt",", \"whitelisted\": ","bool","}"}'),
    ('SetFeeConfig', '{extension_v1_1}', 1, 2, 0,
        '{"{\"pool_id\": ","felt",", \"fee_config\": {\"fee_recipient\": ","felt","}}"}'),
    ('SetFeeConfig', '{extension_v1_0,extension_v1_0_genesis,extension_v1_1}', 2, 2, 0,
        '{"{\"pool_id\": ","felt",", \"fee_config\": {\"fee_recipient\": ","felt","}}"}'),
    ('SetFeeRecipient', '{pool_v2}', 1, 1, 0,
        '{"{\"fee_recipient\": ","felt","}"}'),
    ('SetInterestRateConfig', '{extension_v1_1}', 1, 0, 18,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"interest_rate_config\": {\"min_target_utilization\": ","u256",", \"max_target_utilization\": ","u256",", \"target_utilization\": ","u256",", \"min_full_utilization_rate\": ","u256",", \"max_full_utilization_rate\": ","u256",", \"zero_utilization_rate\": ","u256",", \"rate_half_life\": ","u256",", \"target_rate_percent\": ","u256","}}"}'),
    ('SetInterestRateConfig', '{pool_v2}', 2, 0, 17,
        '{"{\"asset\": ","felt",", \"interest_rate_config\": {\"min_target_utilization\": ","u256",", \"max_target_utilization\": ","u256",", \"target_utilization\": ","u256",", \"min_full_utilization_rate\": ","u256",", \"max_full_utilization_rate\": ","u256",", \"zero_utilization_rate\": ","u256",", \"rate_half_life\": ","u256",", \"target_rate_percent\": ","u256","}}"}'),
    ('SetInterestRateConfig', '{extension_v1_0,extension_v1_0_genesis,extension_v1_1}', 2, 0, 18,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"interest_rate_config\": {\"min_target_utilization\": ","u256",", \"max_target_utilization\": ","u256",", \"target_utilization\": ","u256",", \"min_full_utilization_rate\": ","u256",", \"max_full_utilization_rate\": ","u256",", \"zero_utilization_rate\": ","u256",", \"rate_half_life\": ","u256",", \"target_rate_percent\": ","u256","}}"}'),
    ('SetLTVConfig', '{singleton_v1_0,singleton_v1_1}', 1, 3, 1,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"ltv_config\": {\"max_ltv\": ","number","}}"}'),
    ('SetLiquidationConfig', '{extension_v1_1}', 1, 3, 1,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"liquidation_config\": {\"liquidation_factor\": ","number","}}"}'),
    ('SetLiquidationConfig', '{extension_v1_0_genesis}', 2, 0, 4,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"liquidation_config\": {\"liquidation_factor\": ","number","}}"}'),
    ('SetLiquidationConfig', '{extension_v1_0,extension_v1_1}', 2, 3, 1,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"liquidation_config\": {\"liquidation_factor\": ","number","}}"}'),
    ('SetManager', '{oracle_v2}', 1, 1, 0,
        '{"{\"manager\": ","felt","}"}'),
    ('SetOracle', '{pool_v2}', 1, 0, 1,
        '{"{\"oracle\": ","felt","}"}'),
    ('SetOracleConfig', '{extension_v1_1}', 1, 0, 8,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"oracle_config\": {\"pragma_key\": ","felt",", \"timeout\": ","number",", \"number_of_sources\": ","number",", \"start_time_offset\": ","number",", \"time_window\": ","number",", \"aggregation_mode\": ","number","}}"}'),
    ('SetOracleConfig', '{oracle_v2}', 1, 1, 6,
        '{"{\"asset\": ","felt",", \"oracle_config\": {\"pragma_key\": ","felt",", \"timeout\": ","number",", \"number_of_sources\": ","number",", \"start_time_offset\": ","number",", \"time_window\": ","number",", \"aggregation_mode\": ","number","}}"}'),
    ('SetOracleConfig', '{extension_v1_0_genesis}', 2, 0, 5,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"oracle_config\": {\"pragma_key\": ","felt",", \"timeout\": ","number",", \"number_of_sources\": ","number","}}"}'),
    ('SetOracleConfig', '{extension_v1_0,extension_v1_1}', 2, 0, 8,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"oracle_config\": {\"pragma_key\": ","felt",", \"timeout\": ","number",", \"number_of_sources\": ","number",", \"start_time_offset\": ","number",", \"time_window\": ","number",", \"aggregation_mode\": ","number","}}"}'),
    ('SetOracleParameter', '{extension_v1_0,extension_v1_1}', 2, 0, 4,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"parameter\": ","felt",", \"value\": ","felt","}"}'),
    ('SetOracleParameter', '{extension_v1_0_genesis}', 2, 0, 4,
        '{"{\"pool_id\": ","felt",", \"asset\": ","felt",", \"parameter\": ","felt",", \"value\": ","number","}"}'),
    ('SetPairConfig', '{pool_v2}', 1, 2, 3,
        '{"{\"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"pair_config\": {\"max_ltv\": ","number",", \"liquidation_factor\": ","number",", \"debt_cap\": ","number","}}"}'),
    ('SetPausingAgent', '{pool_v2}', 1, 1, 0,
        '{"{\"agent\": ","felt","}"}'),
    ('SetPoolOwner', '{extension_v1_0,extension_v1_0_genesis,extension_v1_1}', 1, 2, 0,
        '{"{\"pool_id\": ","felt",", \"owner\": ","felt","}"}'),
    ('SetShutdownConfig', '{extension_v1_1}', 1, 1, 2,
        '{"{\"pool_id\": ","felt",", \"shutdown_config\": {\"recovery_period\": ","number",", \"subscription_period\": ","number","}}"}'),
    ('SetShutdownConfig', '{extension_v1_0_genesis}', 2, 0, 3,
        '{"{\"pool_id\": ","felt",", \"shutdown_config\": {\"recovery_period\": ","number",", \"subscription_period\": ","number","}}"}'),
    ('SetShutdownConfig', '{extension_v1_0,extension_v1_1}', 2, 1, 2,
        '{"{\"pool_id\": ","felt",", \"shutdown_config\": {\"recovery_period\": ","number",", \"subscription_period\": ","number","}}"}'),
    ('SetShutdownLTVConfig', '{extension_v1_1}', 1, 3, 1,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"shutdown_ltv_config\": {\"max_ltv\": ","number","}}"}'),
    ('SetShutdownLTVConfig', '{extension_v1_0_genesis}', 2, 0, 4,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"shutdown_ltv_config\": {\"max_ltv\": ","number","}}"}'),
    ('SetShutdownLTVConfig', '{extension_v1_0,extension_v1_1}', 2, 3, 1,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"shutdown_ltv_config\": {\"max_ltv\": ","number","}}"}'),
    ('SetShutdownMode', '{extension_v1_1}', 2, 1, 2,
        '{"{\"pool_id\": ","felt",", \"shutdown_mode\": ","number",", \"last_updated\": ","number","}"}'),
    ('SetShutdownModeAgent', '{extension_v1_1}', 1, 2, 0,
        '{"{\"pool_id\": ","felt",", \"agent\": ","felt","}"}'),
    ('Transfer', '{vtoken_v1_0,vtoken_v1_1,vtoken_v2}', 1, 2, 2,
        '{"{\"from\": ","felt",", \"to\": ","felt",", \"value\": ","u256","}"}'),
    ('TransferPosition', '{singleton_v1_0}', 1, 7, 0,
        '{"{\"pool_id\": ","felt",", \"from_collateral_asset\": ","felt",", \"from_debt_asset\": ","felt",", \"to_collateral_asset\": ","felt",", \"to_debt_asset\": ","felt",", \"from_user\": ","felt",", \"to_user\": ","felt","}"}'),
    ('TransferPosition', '{singleton_v1_1}', 1, 7, 12,
        '{"{\"pool_id\": ","felt",", \"from_collateral_asset\": ","felt",", \"from_debt_asset\": ","felt",", \"to_collateral_asset\": ","felt",", \"to_debt_asset\": ","felt",", \"from_user\": ","felt",", \"to_user\": ","felt",", \"collateral_delta\": ","i257",", \"collateral_shares_delta\": ","i257",", \"debt_delta\": ","i257",", \"nominal_debt_delta\": ","i257","}"}'),
    ('UpdateContext', '{pool_v2}', 1, 2, 50,
        '{"{\"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"collateral_asset_config\": {\"total_collateral_shares\": ","u256",", \"total_nominal_debt\": ","u256",", \"reserve\": ","u256",", \"max_utilization\": ","u256",", \"floor\": ","u256",", \"scale\": ","u256",", \"is_legacy\": ","bool",", \"last_updated\": ","number",", \"last_rate_accumulator\": ","u256",", \"last_full_utilization_rate\": ","u256",", \"fee_rate\": ","u256",", \"fee_shares\": ","u256","}, \"debt_asset_config\": {\"total_collateral_shares\": ","u256",", \"total_nominal_debt\": ","u256",", \"reserve\": ","u256",", \"max_utilization\": ","u256",", \"floor\": ","u256",", \"scale\": ","u256",", \"is_legacy\": ","bool",", \"last_updated\": ","number",", \"last_rate_accumulator\": ","u256",", \"last_full_utilization_rate\": ","u256",", \"fee_rate\": ","u256",", \"fee_shares\": ","u256","}, \"collateral_asset_price\": {\"value\": ","u256",", \"is_valid\": ","bool","}, \"debt_asset_price\": {\"value\": ","u256",", \"is_valid\": ","bool","}}"}'),
    ('UpdateContext', '{singleton_v1_0,singleton_v1_1}', 1, 3, 46,
        '{"{\"pool_id\": ","felt",", \"collateral_asset\": ","felt",", \"debt_asset\": ","felt",", \"collateral_asset_config\": {\"total_collateral_shares\": ","u256",", \"total_nominal_debt\": ","u256",", \"reserve\": ","u256",", \"max_utilization\": ","u256",", \"floor\": ","u256",", \"scale\": ","u256",", \"is_legacy\": ","bool",", \"last_updated\": ","number",", \"last_rate_accumulator\": ","u256",", \"last_full_utilization_rate\": ","u256",", \"fee_rate\": ","u256","}, \"debt_asset_config\": {\"total_collateral_shares\": ","u256",", \"total_nominal_debt\": ","u256",", \"reserve\": ","u256",", \"max_utilization\": ","u256",", \"floor\": ","u256",", \"scale\": ","u256",", \"is_legacy\": ","bool",", \"last_updated\": ","number",", \"last_rate_accumulator\": ","u256",", \"last_full_utilization_rate\": ","u256",", \"fee_rate\": ","u256","}, \"collateral_asset_price\": {\"value\": ","u256",", \"is_valid\": ","bool","}, \"debt_asset_price\": {\"value\": ","u256",", \"is_valid\": ","bool","}}"}'),
    ('UpdateVToken', '{pool_factory_v2}', 1, 4, 0,
        '{"{\"pool\": ","felt",", \"asset\": ","felt",", \"prev_v_token\": ","felt",", \"new_v_token\": ","felt","}"}'),
    ('Withdraw', '{vtoken_v1_0,vtoken_v1_1,vtoken_v2}', 1, 3, 4,
        '{"{\"sender\": ","felt",", \"receiver\": ","felt",", \"owner\": ","felt",", \"assets\": ","u256",", \"shares\": ","u256","}"}');

INSERT INTO event_emitters (address, contract)
SELECT DISTINCT from_address, contract FROM events_unpacked ORDER BY from_address, contract;

INSERT INTO event_layouts (name, selectors, steps)
SELECT DISTINCT k.name, k.selectors, k.steps
FROM known_layouts k
JOIN (
    SELECT DISTINCT contract, name, cardinality(keys) AS keys, cardinality(data) AS data
    FROM events_unpacked
    WHERE name IS NOT NULL
) AS seen ON seen.contract = ANY (k.contracts) AND seen.name = k.name
    AND COALESCE(k.selectors + k.key_felts = seen.keys, true)
    AND COALESCE(k.data_felts = seen.data, true)
ORDER BY k.name, k.selectors, k.steps;

INSERT INTO event_log
    (block_number, transaction_index, event_index, emitter, decoded_as, transaction_hash, keys, data)
SELECT e.block_number, e.transaction_index, e.event_index, m.id, y.id,
    decode(substr(e.transaction_hash, 3), 'hex'), p.keys, p.data
FROM events_unpacked e
JOIN event_emitters m
    ON m.address = e.from_address AND m.contract IS NOT DISTINCT FROM e.contract
CROSS JOIN LATERAL (SELECT pack_felts(e.keys) AS keys, pack_felts(e.data) AS data OFFSET 0) AS p
LEFT JOIN LATERAL (
    SELECT found.id
    FROM known_layouts k
    JOIN event_layouts found USING (name, selectors, steps)
    WHERE k.name = e.name AND e.contract = ANY (k.contracts)
        AND COALESCE(k.selectors + k.key_felts = cardinality(e.keys), true)
        AND COALESCE(k.data_felts = cardinality(e.data), true)
        AND event_args(p.keys, p.data, k.selectors, k.steps) = e.args
    LIMIT 1
) AS y ON e.name IS NOT NULL
ORDER BY e.block_number, e.transaction_index, e.event_index;

-- Of what later ABIs decoded, no layout is known here: the arguments stay as they are, as the only
-- step, until a replay decodes the event anew.
INSERT INTO event_layouts (name, selectors, steps)
SELECT DISTINCT e.name, 0, ARRAY[e.args::text]
FROM events_unpacked e
JOIN event_log l USING (block_number, transaction_index, event_index)
WHERE l.decoded_as IS NULL AND e.name IS NOT NULL AND e.args IS NOT NULL
ORDER BY e.name, ARRAY[e.args::text];
UPDATE event_log l
SET decoded_as = y.id
FROM events_unpacked e
JOIN event_layouts y ON (y.name, y.selectors, y.steps) = (e.name, 0, ARRAY[e.args::text])
WHERE (l.block_number, l.transaction_index, l.event_index)
        = (e.block_number, e.transaction_index, e.event_index)
    AND l.decoded_as IS NULL;

DROP TABLE known_layouts;
DROP TABLE events_unpacked;

CREATE INDEX idx_events_transaction_hash ON event_log (('0x' || encode(transaction_hash, 'hex')));
CREATE INDEX idx_events_undecoded ON event_log (emitter) WHERE decoded_as IS NULL;
