-- The contracts of ours and their settings, with every change.
-- depends: 0001_log

CREATE TABLE contracts (
    address text NOT NULL,
    kind text NOT NULL,
    pool_address text,
    asset_address text,
    debt_address text,
    name text,
    symbol text,
    owner text,
    curator text,
    oracle text,
    fee_recipient text,
    pausing_agent text,
    class_hash text,
    is_paused boolean NOT NULL,
    is_current boolean NOT NULL,
    created_block bigint NOT NULL,
    created_at timestamptz NOT NULL,
    last_event_block bigint NOT NULL,
    PRIMARY KEY (address)
);
COMMENT ON TABLE contracts IS 'One row per contract of ours: factories, pools, oracles, vTokens, and their settings.';
COMMENT ON COLUMN contracts.address IS 'Contract address, 0x and 64 hex digits.';
COMMENT ON COLUMN contracts.kind IS 'Kind and generation, such as pool_v2 or vtoken_v2.';
COMMENT ON COLUMN contracts.pool_address IS 'Pool that a vToken belongs to, or the pool itself; NULL: does not apply.';
COMMENT ON COLUMN contracts.asset_address IS 'Asset that a vToken wraps; NULL: does not apply.';
COMMENT ON COLUMN contracts.debt_address IS 'Debt asset of the pair in which a vToken holds its position; NULL: does not apply or no deposit yet.';
COMMENT ON COLUMN contracts.name IS 'Name as the factory told it at creation, cleaned for display; NULL: none.';
COMMENT ON COLUMN contracts.symbol IS 'Symbol of a vToken; NULL: does not apply.';
COMMENT ON COLUMN contracts.owner IS 'Owner; NULL: not told.';
COMMENT ON COLUMN contracts.curator IS 'Curator of a pool, manager of an oracle; NULL: does not apply.';
COMMENT ON COLUMN contracts.oracle IS 'Oracle of a pool; NULL: does not apply.';
COMMENT ON COLUMN contracts.fee_recipient IS 'Fee recipient of a pool; NULL: not set.';
COMMENT ON COLUMN contracts.pausing_agent IS 'Pausing agent of a pool; NULL: not set.';
COMMENT ON COLUMN contracts.class_hash IS 'Class after the last upgrade; NULL: never upgraded.';
COMMENT ON COLUMN contracts.is_paused IS 'Whether a pool is paused.';
COMMENT ON COLUMN contracts.is_current IS 'False for a vToken that another one replaced; it stays redeemable.';
COMMENT ON COLUMN contracts.created_block IS 'Block of the first event.';
COMMENT ON COLUMN contracts.created_at IS 'Time of that block.';
COMMENT ON COLUMN contracts.last_event_block IS 'Block of the last change.';

CREATE TABLE contract_history (
    address text NOT NULL,
    kind text NOT NULL,
    pool_address text,
    asset_address text,
    debt_address text,
    name text,
    symbol text,
    owner text,
    curator text,
    oracle text,
    fee_recipient text,
    pausing_agent text,
    class_hash text,
    is_paused boolean NOT NULL,
    is_current boolean NOT NULL,
    created_block bigint NOT NULL,
    created_at timestamptz NOT NULL,
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    PRIMARY KEY (address, block_number, transaction_index, event_index)
);
COMMENT ON TABLE contract_history IS 'Every change of a contracts settings, keyed by the event that made it.';
COMMENT ON COLUMN contract_history.address IS 'Contract address, 0x and 64 hex digits.';
COMMENT ON COLUMN contract_history.kind IS 'Kind and generation, such as pool_v2 or vtoken_v2.';
COMMENT ON COLUMN contract_history.pool_address IS 'Pool that a vToken belongs to, or the pool itself; NULL: does not apply.';
COMMENT ON COLUMN contract_history.asset_address IS 'Asset that a vToken wraps; NULL: does not apply.';
COMMENT ON COLUMN contract_history.debt_address IS 'Debt asset of the pair in which a vToken holds its position; NULL: does not apply or no deposit yet.';
COMMENT ON COLUMN contract_history.name IS 'Name as the factory told it at creation, cleaned for display; NULL: none.';
COMMENT ON COLUMN contract_history.symbol IS 'Symbol of a vToken; NULL: does not apply.';
COMMENT ON COLUMN contract_history.owner IS 'Owner; NULL: not told.';
COMMENT ON COLUMN contract_history.curator IS 'Curator of a pool, manager of an oracle; NULL: does not apply.';
COMMENT ON COLUMN contract_history.oracle IS 'Oracle of a pool; NULL: does not apply.';
COMMENT ON COLUMN contract_history.fee_recipient IS 'Fee recipient of a pool; NULL: not set.';
COMMENT ON COLUMN contract_history.pausing_agent IS 'Pausing agent of a pool; NULL: not set.';
COMMENT ON COLUMN contract_history.class_hash IS 'Class after the last upgrade; NULL: never upgraded.';
COMMENT ON COLUMN contract_history.is_paused IS 'Whether a pool is paused.';
COMMENT ON COLUMN contract_history.is_current IS 'False for a vToken that another one replaced; it stays redeemable.';
COMMENT ON COLUMN contract_history.created_block IS 'Block of the first event.';
COMMENT ON COLUMN contract_history.created_at IS 'Time of that block.';
COMMENT ON COLUMN contract_history.block_number IS 'Block of the event that made this version.';
COMMENT ON COLUMN contract_history.transaction_index IS 'Position of its transaction in the block.';
COMMENT ON COLUMN contract_history.event_index IS 'Its position in the transaction.';
