-- The append-only log: what the chain said, in the chain's own order, and where the indexer stands.

CREATE TABLE blocks (
    number bigint PRIMARY KEY,
    hash text NOT NULL,
    parent_hash text NOT NULL,
    timestamp timestamptz NOT NULL,
    finality text NOT NULL DEFAULT 'ACCEPTED_ON_L2',
    event_count integer,
    event_commitment text,
    verified boolean
);
COMMENT ON TABLE blocks IS 'Every block that holds an event of ours, and the last block of each batch.';
COMMENT ON COLUMN blocks.number IS 'Block number.';
COMMENT ON COLUMN blocks.hash IS 'Block hash, 0x and 64 hex digits.';
COMMENT ON COLUMN blocks.parent_hash IS 'Hash of the block before.';
COMMENT ON COLUMN blocks.timestamp IS 'Block time, whole seconds.';
COMMENT ON COLUMN blocks.finality IS 'ACCEPTED_ON_L2 or ACCEPTED_ON_L1, as the node said when the block was read.';
COMMENT ON COLUMN blocks.event_count IS 'Number of all events in the block by its header; NULL: the node does not tell (RPC below 0.10).';
COMMENT ON COLUMN blocks.event_commitment IS 'Event commitment of the header; NULL: not told or not available for old blocks.';
COMMENT ON COLUMN blocks.verified IS 'Whether our events were proved complete against the header; NULL: not checked.';

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

CREATE TABLE receipts (
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    transaction_hash text NOT NULL,
    actual_fee numeric(78,0) NOT NULL,
    fee_unit text NOT NULL,
    PRIMARY KEY (block_number, transaction_index)
);
COMMENT ON TABLE receipts IS 'Part of the log: the fee of each transaction that emitted an event of ours.';
COMMENT ON COLUMN receipts.block_number IS 'Block number.';
COMMENT ON COLUMN receipts.transaction_index IS 'Position of the transaction in its block.';
COMMENT ON COLUMN receipts.transaction_hash IS 'Hash of the transaction.';
COMMENT ON COLUMN receipts.actual_fee IS 'Fee paid, in units of 10^-18 of the fee token.';
COMMENT ON COLUMN receipts.fee_unit IS 'FRI (STRK) or WEI (ETH).';

CREATE TABLE observations (
    block_number bigint NOT NULL,
    contract text NOT NULL,
    view text NOT NULL,
    calldata text[] NOT NULL,
    block_hash text NOT NULL,
    result text[],
    error text,
    PRIMARY KEY (block_number, contract, view, calldata)
);
COMMENT ON TABLE observations IS 'Part of the log: answers of contract views at a block, for values that no event carries. A replay reads them here instead of asking a node.';
COMMENT ON COLUMN observations.block_number IS 'Block at whose state the view was asked.';
COMMENT ON COLUMN observations.contract IS 'Contract that was asked.';
COMMENT ON COLUMN observations.view IS 'Name of the view.';
COMMENT ON COLUMN observations.calldata IS 'Arguments, felts in minimal hex.';
COMMENT ON COLUMN observations.block_hash IS 'Hash of that block.';
COMMENT ON COLUMN observations.result IS 'Answer, felts in minimal hex; NULL: the contract refused.';
COMMENT ON COLUMN observations.error IS 'What the contract answered in place of a result; NULL: it gave a result.';

CREATE TABLE cursor (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    chain_id text NOT NULL,
    start_block bigint NOT NULL,
    block_number bigint NOT NULL,
    block_hash text,
    block_timestamp timestamptz,
    fork_counter bigint NOT NULL DEFAULT 0,
    fold_version integer NOT NULL,
    generation bigint NOT NULL DEFAULT 0,
    committed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cursor IS 'One row: the last block that all tables hold. It moves only by compare-and-swap, in the transaction that writes the tables.';
COMMENT ON COLUMN cursor.singleton IS 'Always true: there is one row.';
COMMENT ON COLUMN cursor.chain_id IS 'Chain that this database follows, such as 0x534e5f4d41494e (SN_MAIN).';
COMMENT ON COLUMN cursor.start_block IS 'First block that was read.';
COMMENT ON COLUMN cursor.block_number IS 'Last committed block; start_block - 1 before the first commit.';
COMMENT ON COLUMN cursor.block_hash IS 'Hash of that block; NULL before the first commit.';
COMMENT ON COLUMN cursor.block_timestamp IS 'Time of that block; NULL before the first commit.';
COMMENT ON COLUMN cursor.fork_counter IS 'Number of reorganisations that this database went through.';
COMMENT ON COLUMN cursor.fold_version IS 'Version of the fold that made the projections.';
COMMENT ON COLUMN cursor.generation IS 'How often a shadow replay replaced the projections; the writer notices by it.';
COMMENT ON COLUMN cursor.committed_at IS 'Wall-clock time of the last commit.';

CREATE TABLE chain_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    block_number bigint NOT NULL,
    block_hash text NOT NULL,
    block_timestamp timestamptz NOT NULL,
    finalised_block bigint,
    seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE chain_head IS 'One row: the head that the node last told.';
COMMENT ON COLUMN chain_head.singleton IS 'Always true: there is one row.';
COMMENT ON COLUMN chain_head.block_number IS 'Number of the head.';
COMMENT ON COLUMN chain_head.block_hash IS 'Hash of the head.';
COMMENT ON COLUMN chain_head.block_timestamp IS 'Time of the head.';
COMMENT ON COLUMN chain_head.finalised_block IS 'Last block accepted on L1; NULL: the node did not say.';
COMMENT ON COLUMN chain_head.seen_at IS 'Wall-clock time of the node''s last good answer.';

CREATE TABLE reorgs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    detected_at timestamptz NOT NULL DEFAULT now(),
    ancestor_number bigint NOT NULL,
    ancestor_hash text,
    old_number bigint NOT NULL,
    old_hash text NOT NULL,
    new_number bigint NOT NULL,
    new_hash text NOT NULL,
    depth bigint NOT NULL,
    events_orphaned bigint NOT NULL,
    rows_restored bigint NOT NULL,
    seconds double precision NOT NULL
);
COMMENT ON TABLE reorgs IS 'One row per reorganisation of the chain that the indexer followed.';
COMMENT ON COLUMN reorgs.id IS 'Running number.';
COMMENT ON COLUMN reorgs.detected_at IS 'Wall-clock time.';
COMMENT ON COLUMN reorgs.ancestor_number IS 'Highest stored block that both branches share.';
COMMENT ON COLUMN reorgs.ancestor_hash IS 'Its hash; NULL: nothing stored was shared.';
COMMENT ON COLUMN reorgs.old_number IS 'Committed block before.';
COMMENT ON COLUMN reorgs.old_hash IS 'Its hash, now abandoned.';
COMMENT ON COLUMN reorgs.new_number IS 'Head of the chain when the reorganisation was seen.';
COMMENT ON COLUMN reorgs.new_hash IS 'Its hash.';
COMMENT ON COLUMN reorgs.depth IS 'Number of blocks rolled back.';
COMMENT ON COLUMN reorgs.events_orphaned IS 'Events moved to orphaned_events.';
COMMENT ON COLUMN reorgs.rows_restored IS 'Rows of the projections taken back or restored.';
COMMENT ON COLUMN reorgs.seconds IS 'Duration of the rollback.';

CREATE TABLE orphaned_events (
    reorg_id bigint NOT NULL REFERENCES reorgs (id),
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    block_hash text NOT NULL,
    transaction_hash text NOT NULL,
    from_address text NOT NULL,
    keys text[] NOT NULL,
    data text[] NOT NULL,
    PRIMARY KEY (reorg_id, block_number, transaction_index, event_index)
);
COMMENT ON TABLE orphaned_events IS 'What an abandoned branch held: events that were in the log and are no longer part of the chain.';
COMMENT ON COLUMN orphaned_events.reorg_id IS 'Reorganisation that took them out.';
COMMENT ON COLUMN orphaned_events.block_number IS 'Block number on the abandoned branch.';
COMMENT ON COLUMN orphaned_events.transaction_index IS 'Position of the transaction in its block.';
COMMENT ON COLUMN orphaned_events.event_index IS 'Position of the event in its transaction.';
COMMENT ON COLUMN orphaned_events.block_hash IS 'Hash of the abandoned block.';
COMMENT ON COLUMN orphaned_events.transaction_hash IS 'Hash of the transaction.';
COMMENT ON COLUMN orphaned_events.from_address IS 'Contract that emitted the event.';
COMMENT ON COLUMN orphaned_events.keys IS 'Keys, felts in minimal hex.';
COMMENT ON COLUMN orphaned_events.data IS 'Data, felts in minimal hex.';

CREATE TABLE orphaned_observations (
    reorg_id bigint NOT NULL REFERENCES reorgs (id),
    block_number bigint NOT NULL,
    contract text NOT NULL,
    view text NOT NULL,
    calldata text[] NOT NULL,
    block_hash text NOT NULL,
    result text[],
    error text,
    PRIMARY KEY (reorg_id, block_number, contract, view, calldata)
);
COMMENT ON TABLE orphaned_observations IS 'View answers that were taken on an abandoned branch.';
COMMENT ON COLUMN orphaned_observations.reorg_id IS 'Reorganisation that took them out.';
COMMENT ON COLUMN orphaned_observations.block_number IS 'Block number on the abandoned branch.';
COMMENT ON COLUMN orphaned_observations.contract IS 'Contract that was asked.';
COMMENT ON COLUMN orphaned_observations.view IS 'Name of the view.';
COMMENT ON COLUMN orphaned_observations.calldata IS 'Arguments, felts in minimal hex.';
COMMENT ON COLUMN orphaned_observations.block_hash IS 'Hash of the abandoned block.';
COMMENT ON COLUMN orphaned_observations.result IS 'Answer, felts in minimal hex; NULL: the contract refused.';
COMMENT ON COLUMN orphaned_observations.error IS 'What the contract answered in place of a result.';
