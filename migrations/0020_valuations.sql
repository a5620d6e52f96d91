-- Valuations: which are the oldest, and which positions are near a liquidation. Checks: a
-- difference is known by view and contract, too; a check that could not be done is known.
-- depends: 0019_receipts_later

-- The active rows in the order in which they were valued: the oldest are revalued first, and no
-- row may be valued above the committed block.
CREATE INDEX idx_vesu_positions_valued_at_block ON vesu_positions (valued_at_block)
    WHERE status = 'active';

-- Within a pair, health is one factor times collateral shares over nominal debt: prices and
-- interest move the factor, not this order. Below 10^15 of either, which is 0.001 of a token with
-- 18 decimals of shares, rounding to raw units shifts the ratio, and the row sorts as 0.
CREATE INDEX idx_vesu_positions_shares_to_debt ON vesu_positions (
    pool_pair_id,
    (CASE WHEN LEAST(collateral_shares, nominal_debt) < 1000000000000000 THEN 0
        ELSE div(collateral_shares * 1000000000, nominal_debt) END)
) WHERE status = 'active' AND nominal_debt > 0;

COMMENT ON COLUMN vesu_positions.valued_at IS 'Time of the block at whose state the row was valued, interest included: at the head the committed block for positions that an event touched or whose health may be below 1.3, for the others at most valuation.max_age_seconds earlier; a closed one: its last event.';
COMMENT ON COLUMN vesu_positions.valued_at_block IS 'Block at whose state the row was valued; never above the committed block.';

ALTER TABLE reconciliation_differences DROP CONSTRAINT reconciliation_differences_pkey,
    ADD PRIMARY KEY (reconciliation_id, table_name, row_id, column_name, view, contract);

CREATE TABLE check_failures (
    name text PRIMARY KEY,
    reason text NOT NULL,
    failures bigint NOT NULL,
    may_pass boolean NOT NULL,
    first_failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_failed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE check_failures IS 'Checks of the running indexer that could not be done since they were last done; a check that is done takes its row out.';
COMMENT ON COLUMN check_failures.name IS 'Name of the check: reconcile.';
COMMENT ON COLUMN check_failures.reason IS 'Why it could not be done, the last time.';
COMMENT ON COLUMN check_failures.failures IS 'How often in a row it could not be done.';
COMMENT ON COLUMN check_failures.may_pass IS 'Whether the reason is one that passes by itself: a lagging node, a reorganisation, a lost connection.';
COMMENT ON COLUMN check_failures.first_failed_at IS 'Wall-clock time of the first of these failures.';
COMMENT ON COLUMN check_failures.last_failed_at IS 'Wall-clock time of the last of them.';
