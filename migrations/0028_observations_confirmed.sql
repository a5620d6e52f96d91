-- Observations are asked again by whoever verifies, and repaired as events are.
-- depends: 0027_read_back

ALTER TABLE observations ADD COLUMN confirmed_at timestamptz;
COMMENT ON COLUMN observations.confirmed_at IS 'Wall-clock time at which verify asked the view again and got the same answer; NULL: not asked again yet.';

CREATE TABLE observation_gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    found_at timestamptz NOT NULL DEFAULT now(),
    block_number bigint NOT NULL,
    contract text NOT NULL,
    view text NOT NULL,
    calldata text[] NOT NULL,
    reorg_id bigint REFERENCES reorgs (id),
    repaired_at timestamptz
);
COMMENT ON TABLE observation_gaps IS 'Every answer of a view that was found to be another than the log keeps, and its repair.';
COMMENT ON COLUMN observation_gaps.id IS 'Running number.';
COMMENT ON COLUMN observation_gaps.found_at IS 'Wall-clock time of the finding.';
COMMENT ON COLUMN observation_gaps.block_number IS 'Block at whose state the view was asked.';
COMMENT ON COLUMN observation_gaps.contract IS 'Contract that was asked.';
COMMENT ON COLUMN observation_gaps.view IS 'Name of the view.';
COMMENT ON COLUMN observation_gaps.calldata IS 'Arguments, felts in minimal hex.';
COMMENT ON COLUMN observation_gaps.reorg_id IS 'Rollback that took the tables back to before the block; NULL: not begun yet.';
COMMENT ON COLUMN observation_gaps.repaired_at IS 'Wall-clock time at which the block was committed again; NULL: the log still differs.';
CREATE UNIQUE INDEX observation_gaps_open
    ON observation_gaps (block_number, contract, view, calldata)
    WHERE repaired_at IS NULL;
COMMENT ON INDEX observation_gaps_open IS 'What is still to be repaired; each answer once.';
CREATE INDEX idx_observations_unconfirmed ON observations (block_number) WHERE confirmed_at IS NULL;
COMMENT ON INDEX idx_observations_unconfirmed IS 'What verify has still to ask again.';
