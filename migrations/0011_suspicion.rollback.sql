DROP VIEW indexer_status;
CREATE VIEW indexer_status AS
SELECT
    c.block_number AS committed_block,
    c.block_hash AS committed_hash,
    c.block_timestamp AS committed_at,
    EXTRACT(EPOCH FROM clock_timestamp() - c.block_timestamp) AS age_seconds,
    h.block_number AS head_block,
    h.seen_at AS head_seen_at,
    GREATEST(h.block_number - c.block_number, 0) AS lag_blocks,
    h.finalised_block AS finalised_block,
    c.fork_counter AS fork_counter,
    c.chain_id AS chain_id,
    c.fold_version AS fold_version
FROM cursor c
LEFT JOIN chain_head h ON true;
COMMENT ON VIEW indexer_status IS 'One row: how fresh the tables are. Empty before the first run.';
COMMENT ON COLUMN indexer_status.committed_block IS 'Last block that all tables hold.';
COMMENT ON COLUMN indexer_status.committed_hash IS 'Its hash.';
COMMENT ON COLUMN indexer_status.committed_at IS 'Its block time.';
COMMENT ON COLUMN indexer_status.age_seconds IS 'Seconds since that block time, by the database''s clock.';
COMMENT ON COLUMN indexer_status.head_block IS 'Head that the node last told; NULL: never asked.';
COMMENT ON COLUMN indexer_status.head_seen_at IS 'When the node last gave a good answer; NULL: never.';
COMMENT ON COLUMN indexer_status.lag_blocks IS 'Blocks between the head and the committed block.';
COMMENT ON COLUMN indexer_status.finalised_block IS 'Last block accepted on L1; NULL: not known.';
COMMENT ON COLUMN indexer_status.fork_counter IS 'Reorganisations so far: a change means that rows above a block were replaced.';
COMMENT ON COLUMN indexer_status.chain_id IS 'Chain that the database follows.';
COMMENT ON COLUMN indexer_status.fold_version IS 'Version of the fold that made the projections.';
ALTER TABLE chain_head DROP COLUMN suspect_since;
ALTER TABLE chain_head DROP COLUMN suspect_reason;
COMMENT ON COLUMN chain_head.finalised_block IS 'Last block accepted on L1; NULL: the node did not say.';
