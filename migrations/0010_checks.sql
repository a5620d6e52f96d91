-- Checks against the contracts themselves and between our own tables, and what they found.
-- depends: 0009_completeness

CREATE TABLE reconciliations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    origin text NOT NULL,
    block_number bigint NOT NULL,
    block_hash text NOT NULL,
    committed_block bigint NOT NULL,
    scope text NOT NULL,
    pool text,
    user_id text,
    sample integer,
    seed text,
    rows bigint NOT NULL,
    asked bigint NOT NULL,
    compared bigint NOT NULL,
    refused bigint NOT NULL,
    differences bigint NOT NULL,
    views jsonb NOT NULL,
    seconds double precision NOT NULL
);
COMMENT ON TABLE reconciliations IS 'One row per check of the tables against the contracts'' own views.';
COMMENT ON COLUMN reconciliations.id IS 'Running number.';
COMMENT ON COLUMN reconciliations.checked_at IS 'Wall-clock time of the check.';
COMMENT ON COLUMN reconciliations.origin IS 'command: somebody asked for it; run: the daemon''s own sample.';
COMMENT ON COLUMN reconciliations.block_number IS 'Block at whose state both sides were read.';
COMMENT ON COLUMN reconciliations.block_hash IS 'Hash of that block, 0x and 64 hex digits.';
COMMENT ON COLUMN reconciliations.committed_block IS 'Committed block when the check was made.';
COMMENT ON COLUMN reconciliations.scope IS 'all, pool, user or sample: which rows were checked.';
COMMENT ON COLUMN reconciliations.pool IS 'Pool, by id or contract, that the check was limited to; NULL: not limited.';
COMMENT ON COLUMN reconciliations.user_id IS 'Wallet that the check was limited to; NULL: not limited.';
COMMENT ON COLUMN reconciliations.sample IS 'Rows of each table that were chosen; NULL: all.';
COMMENT ON COLUMN reconciliations.seed IS 'Seed that chose them; NULL: all rows were checked.';
COMMENT ON COLUMN reconciliations.rows IS 'Rows of ours that were compared.';
COMMENT ON COLUMN reconciliations.asked IS 'Views that the node was asked for.';
COMMENT ON COLUMN reconciliations.compared IS 'Values that were compared, as integers.';
COMMENT ON COLUMN reconciliations.refused IS 'Views that the contracts refused.';
COMMENT ON COLUMN reconciliations.differences IS 'Values that differed.';
COMMENT ON COLUMN reconciliations.views IS 'By view: asked, compared, refused, differences.';
COMMENT ON COLUMN reconciliations.seconds IS 'How long the check took.';

CREATE TABLE reconciliation_differences (
    reconciliation_id bigint NOT NULL REFERENCES reconciliations (id),
    table_name text NOT NULL,
    row_id text NOT NULL,
    column_name text NOT NULL,
    version_block bigint,
    version_transaction integer,
    version_event integer,
    view text NOT NULL,
    contract text NOT NULL,
    calldata text[] NOT NULL,
    ours text NOT NULL,
    theirs text NOT NULL,
    resolved_by bigint REFERENCES reconciliations (id),
    PRIMARY KEY (reconciliation_id, table_name, row_id, column_name)
);
CREATE INDEX idx_reconciliation_differences_open ON reconciliation_differences (table_name, row_id)
    WHERE resolved_by IS NULL;
COMMENT ON TABLE reconciliation_differences IS 'Values of ours that were not the contract''s own.';
COMMENT ON COLUMN reconciliation_differences.reconciliation_id IS 'Check that found it.';
COMMENT ON COLUMN reconciliation_differences.table_name IS 'Table of the row.';
COMMENT ON COLUMN reconciliation_differences.row_id IS 'Id of the row; address and kind where the table has no id.';
COMMENT ON COLUMN reconciliation_differences.column_name IS 'Column, or the value that follows from the row.';
COMMENT ON COLUMN reconciliation_differences.version_block IS 'Block of the history row; NULL: the row is a current one.';
COMMENT ON COLUMN reconciliation_differences.version_transaction IS 'Transaction index of the history row; NULL: the row is a current one.';
COMMENT ON COLUMN reconciliation_differences.version_event IS 'Event index of the history row; NULL: the row is a current one.';
COMMENT ON COLUMN reconciliation_differences.view IS 'View that was asked.';
COMMENT ON COLUMN reconciliation_differences.contract IS 'Contract that answered.';
COMMENT ON COLUMN reconciliation_differences.calldata IS 'Arguments of the view, felts in minimal hex.';
COMMENT ON COLUMN reconciliation_differences.ours IS 'What the tables say.';
COMMENT ON COLUMN reconciliation_differences.theirs IS 'What the contract says.';
COMMENT ON COLUMN reconciliation_differences.resolved_by IS 'Later check that found the value, or the row after its next change, equal, listed it again or found the version gone; NULL: it stands.';

CREATE TABLE invariant_breaks (
    invariant text NOT NULL,
    what text NOT NULL,
    found numeric NOT NULL,
    expected numeric NOT NULL,
    first_block bigint NOT NULL,
    last_block bigint NOT NULL,
    detected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    mended_block bigint,
    PRIMARY KEY (invariant, what, first_block)
);
COMMENT ON TABLE invariant_breaks IS 'Sums that did not agree after a batch. They are recorded and never repaired by the indexer.';
COMMENT ON COLUMN invariant_breaks.invariant IS 'Name of the sum.';
COMMENT ON COLUMN invariant_breaks.what IS 'What was summed up: pool and asset, pool and pair, or vToken.';
COMMENT ON COLUMN invariant_breaks.found IS 'Sum when it was last seen.';
COMMENT ON COLUMN invariant_breaks.expected IS 'What it should be.';
COMMENT ON COLUMN invariant_breaks.first_block IS 'Committed block after which the break was first seen.';
COMMENT ON COLUMN invariant_breaks.last_block IS 'Committed block after which it was last seen.';
COMMENT ON COLUMN invariant_breaks.detected_at IS 'Wall-clock time of the first sight.';
COMMENT ON COLUMN invariant_breaks.mended_block IS 'Committed block after which the sum agreed again; NULL: it stands.';

CREATE INDEX idx_events_undecoded ON events (from_address, (keys[1])) WHERE name IS NULL;

-- The last sampled price, and the samples of a block.
CREATE INDEX idx_observations_view ON observations (view, block_number);
COMMENT ON COLUMN vesu_asset_history.transaction_index IS 'Position of its transaction in the block; 2147483647: a price read at the state after the block.';
COMMENT ON COLUMN vesu_assets.price IS 'Last price that an event told or that was sampled, USD x 10^18; NULL: none yet.';
COMMENT ON COLUMN vesu_assets.price_is_valid IS 'Whether the oracle called that price valid; false also since it refused to tell one; NULL: none yet.';
COMMENT ON COLUMN vesu_assets.price_block IS 'Block whose event told that price, or at whose state it was sampled; NULL: none yet.';
COMMENT ON COLUMN vesu_asset_history.price IS 'Last price that an event told or that was sampled, USD x 10^18; NULL: none yet.';
COMMENT ON COLUMN vesu_asset_history.price_is_valid IS 'Whether the oracle called that price valid; false also since it refused to tell one; NULL: none yet.';
COMMENT ON COLUMN vesu_asset_history.price_block IS 'Block whose event told that price, or at whose state it was sampled; NULL: none yet.';
