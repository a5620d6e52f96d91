-- Which blocks are proved complete, how, and what was found missing.
-- depends: 0008_v1

CREATE TABLE verified_ranges (
    first_block bigint PRIMARY KEY,
    last_block bigint NOT NULL,
    method text NOT NULL CHECK (method IN ('commitment', 'count', 'receipts', 'sampled')),
    verified_at timestamptz NOT NULL,
    CHECK (first_block <= last_block),
    EXCLUDE USING gist (int8range(first_block, last_block, '[]') WITH &&)
);
COMMENT ON TABLE verified_ranges IS 'Blocks whose events of ours are known to be complete. Ranges never overlap; a block in none of them was never looked at.';
COMMENT ON COLUMN verified_ranges.first_block IS 'First block of the range.';
COMMENT ON COLUMN verified_ranges.last_block IS 'Last block of the range.';
COMMENT ON COLUMN verified_ranges.method IS 'commitment: every block equals its receipts, which have the event count and the event commitment of the header. count: the same without the commitment. receipts: the same with neither, because the node tells neither (RPC below 0.10). sampled: so for each block with an event of ours and for a sample of the others; the rest is not proved.';
COMMENT ON COLUMN verified_ranges.verified_at IS 'Wall-clock time at which the newest part of the range was added.';

CREATE TABLE completeness_gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    found_at timestamptz NOT NULL DEFAULT now(),
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    transaction_hash text NOT NULL,
    from_address text NOT NULL,
    difference text NOT NULL CHECK (difference IN ('missing', 'extra', 'changed')),
    reorg_id bigint REFERENCES reorgs (id),
    repaired_at timestamptz
);
COMMENT ON TABLE completeness_gaps IS 'Every event in which the log was found to differ from the chain after it was committed, and its repair.';
COMMENT ON COLUMN completeness_gaps.id IS 'Running number.';
COMMENT ON COLUMN completeness_gaps.found_at IS 'Wall-clock time of the finding.';
COMMENT ON COLUMN completeness_gaps.block_number IS 'Block of the event.';
COMMENT ON COLUMN completeness_gaps.transaction_index IS 'Position of its transaction in the block.';
COMMENT ON COLUMN completeness_gaps.event_index IS 'Position of the event in its transaction.';
COMMENT ON COLUMN completeness_gaps.transaction_hash IS 'Hash of the transaction.';
COMMENT ON COLUMN completeness_gaps.from_address IS 'Contract that emitted the event.';
COMMENT ON COLUMN completeness_gaps.difference IS 'missing: the chain has the event and the log had not. extra: the log had it and the chain has not. changed: both have it, with other content.';
COMMENT ON COLUMN completeness_gaps.reorg_id IS 'Rollback that took the tables back to before the event; NULL: not begun yet.';
COMMENT ON COLUMN completeness_gaps.repaired_at IS 'Wall-clock time at which the block was committed again, proved; NULL: the log still differs.';
CREATE UNIQUE INDEX completeness_gaps_open
    ON completeness_gaps (block_number, transaction_index, event_index)
    WHERE repaired_at IS NULL;
COMMENT ON INDEX completeness_gaps_open IS 'What is still to be repaired; each event once.';

ALTER TABLE reorgs ADD COLUMN cause text NOT NULL DEFAULT 'chain' CHECK (cause IN ('chain', 'repair'));
COMMENT ON COLUMN reorgs.cause IS 'chain: the chain was reorganised. repair: the log was found to differ from the chain and was read again.';

ALTER TABLE blocks ADD COLUMN seal text;
COMMENT ON COLUMN blocks.seal IS 'SHA-256 of our events of the block as they were committed, by which a later loss or change is found without a node; NULL: committed before seals were kept.';
