-- Transactions that are watched by their hash, and the user that stands for each wallet.
-- depends: 0014_time

CREATE FUNCTION padded_felt(felt text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    padded text := '0x' || lpad(lower(substr(felt, 3)), 64, '0');
BEGIN
    IF felt !~ '^0[xX][0-9a-fA-F]{1,64}$'
        OR padded COLLATE "C" > '0x0800000000000011000000000000000000000000000000000000000000000000'
    THEN
        RAISE EXCEPTION '% is not an address or hash of Starknet: write 0x and up to 64 hex digits, below the prime of its field',
            left(felt, 80) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN padded;
END
$$;
COMMENT ON FUNCTION padded_felt(text) IS 'An address or hash as the tables hold it: 0x and 64 lower-case hex digits. Anything else is refused.';

-- PostgreSQL has no SHA-1 of its own, and its extensions are not installed everywhere.
CREATE FUNCTION wallet_uuid(address text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    mask CONSTANT bigint := 4294967295;
    message bytea := decode('6f0a7a4452f15f0e9d3b7665737500a1', 'hex') || convert_to(address, 'UTF8');
    bits CONSTANT bigint := 8 * length(message);
    h bigint[] := ARRAY[1732584193, 4023233417, 2562383102, 271733878, 3285377520];
    w bigint[];
    a bigint; b bigint; c bigint; d bigint; e bigint; f bigint; k bigint; x bigint;
    digest text;
BEGIN
    message := message || '\x80'::bytea
        || decode(repeat('00', (119 - length(message) % 64) % 64), 'hex') || int8send(bits);
    FOR block IN 0 .. length(message) / 64 - 1 LOOP
        FOR i IN 0 .. 15 LOOP
            w[i] := ('x' || encode(substr(message, 64 * block + 4 * i + 1, 4), 'hex'))::bit(32)::bigint;
        END LOOP;
        FOR i IN 16 .. 79 LOOP
            x := w[i - 3] # w[i - 8] # w[i - 14] # w[i - 16];
            w[i] := ((x << 1) | (x >> 31)) & mask;
        END LOOP;
        a := h[1]; b := h[2]; c := h[3]; d := h[4]; e := h[5];
        FOR i IN 0 .. 79 LOOP
            IF i < 20 THEN
                f := (b & c) | (~b & mask & d); k := 1518500249;
            ELSIF i < 40 THEN
                f := b # c # d; k := 1859775393;
            ELSIF i < 60 THEN
                f := (b & c) | (b & d) | (c & d); k := 2400959708;
            ELSE
                f := b # c # d; k := 3395469782;
            END IF;
            x := ((((a << 5) | (a >> 27)) & mask) + f + e + k + w[i]) & mask;
            e := d; d := c; c := ((b << 30) | (b >> 2)) & mask; b := a; a := x;
        END LOOP;
        h := ARRAY[(h[1] + a) & mask, (h[2] + b) & mask, (h[3] + c) & mask, (h[4] + d) & mask, (h[5] + e) & mask];
    END LOOP;
    h[2] := h[2] & 4294905855 | 20480;        -- version 5
    h[3] := h[3] & 1073741823 | 2147483648;   -- variant of RFC 9562
    digest := lpad(to_hex(h[1]), 8, '0') || lpad(to_hex(h[2]), 8, '0')
        || lpad(to_hex(h[3]), 8, '0') || lpad(to_hex(h[4]), 8, '0');
    RETURN digest::uuid;
END
$$;
COMMENT ON FUNCTION wallet_uuid(text) IS 'uuid v5 (RFC 9562) of a wallet address, in the indexer''s namespace 6f0a7a44-52f1-5f0e-9d3b-7665737500a1; give it the address as the tables hold it (padded_felt).';

CREATE TABLE wallets (
    wallet_address text PRIMARY KEY,
    user_id uuid NOT NULL
);
COMMENT ON TABLE wallets IS 'The user that stands for each wallet in the schema vesu_guide: every wallet with a position of a person''s, and those that vesu_guide.users names.';
COMMENT ON COLUMN wallets.wallet_address IS 'Wallet, 0x and 64 hex digits.';
COMMENT ON COLUMN wallets.user_id IS 'The user that vesu_guide.users maps the wallet to; without one the uuid v5 of the address.';
CREATE INDEX idx_wallets_user_id ON wallets (user_id);
INSERT INTO wallets (wallet_address, user_id)
SELECT user_id, wallet_uuid(user_id)
FROM (SELECT DISTINCT user_id FROM vesu_positions WHERE kind <> 'system') AS person;

CREATE TABLE watches (
    transaction_hash text PRIMARY KEY CHECK (transaction_hash ~ '^0x[0-9a-f]{64}$'),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'confirmed', 'failed', 'dropped')),
    guide_status text GENERATED ALWAYS AS (CASE status WHEN 'dropped' THEN 'failed' ELSE status END) STORED,
    node_status text,
    block_number bigint,
    block_hash text,
    block_time timestamptz,
    actual_fee numeric(78,0),
    fee_unit text,
    revert_reason text,
    reorg_id bigint,
    started_at timestamptz NOT NULL DEFAULT now(),
    asked_at timestamptz,
    seen_at timestamptz,
    settled_at timestamptz,
    ask_at timestamptz DEFAULT now(),
    CHECK (status NOT IN ('confirmed', 'failed') OR block_number IS NOT NULL)
);
COMMENT ON TABLE watches IS 'Transactions that are followed by their hash from before they are on chain: one row a hash. What happened is the node''s word, taken only for blocks that the tables hold.';
COMMENT ON COLUMN watches.transaction_hash IS 'Hash of the transaction, 0x and 64 hex digits.';
COMMENT ON COLUMN watches.status IS 'pending: not in a block that the tables hold. confirmed: it succeeded in such a block. failed: it was reverted in such a block. dropped: for a time no node has known it; it comes back if it appears after all.';
COMMENT ON COLUMN watches.guide_status IS 'status in the words of vesu_guide.vesu_transactions, which has no dropped: failed.';
COMMENT ON COLUMN watches.node_status IS 'What the node last said, such as RECEIVED or ACCEPTED_ON_L2; NULL: not asked yet, or not known to the node.';
COMMENT ON COLUMN watches.block_number IS 'Block that holds it; may be above the committed block while status is pending; NULL: not in a block.';
COMMENT ON COLUMN watches.block_hash IS 'Hash of that block; NULL: not in a block.';
COMMENT ON COLUMN watches.block_time IS 'Time of that block; NULL: not in a block of the tables.';
COMMENT ON COLUMN watches.actual_fee IS 'Fee paid, in units of 10^-18 of the fee token; NULL: not in a block.';
COMMENT ON COLUMN watches.fee_unit IS 'FRI (STRK) or WEI (ETH); NULL: not in a block.';
COMMENT ON COLUMN watches.revert_reason IS 'Why it was reverted, as the node says it, or refused by the sequencer; NULL: it was not.';
COMMENT ON COLUMN watches.reorg_id IS 'Newest row of reorgs when the status was decided, by which a reorganisation in between is noticed; NULL: not decided.';
COMMENT ON COLUMN watches.started_at IS 'Wall-clock time at which the watch began.';
COMMENT ON COLUMN watches.asked_at IS 'Wall-clock time of the node''s last answer; NULL: none yet.';
COMMENT ON COLUMN watches.seen_at IS 'Wall-clock time at which it was last known to the node, or taken back by a reorganisation; NULL: never.';
COMMENT ON COLUMN watches.settled_at IS 'Wall-clock time at which it became confirmed, failed or dropped; NULL: pending.';
COMMENT ON COLUMN watches.ask_at IS 'Wall-clock time from which the node is asked again; NULL: nothing more is asked.';
CREATE INDEX idx_watches_ask_at ON watches (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX idx_watches_status ON watches (status);
CREATE INDEX idx_watches_guide_status ON watches (guide_status);
CREATE INDEX idx_watches_block ON watches (block_number) WHERE block_number IS NOT NULL;

-- Rows are asked for by their id alone; their keys begin with the pool.
CREATE INDEX idx_vesu_positions_id ON vesu_positions (id);
CREATE INDEX idx_vesu_transactions_id ON vesu_transactions (id);
CREATE INDEX idx_vesu_liquidations_id ON vesu_liquidations (id);
