-- A suspicion that the chain was abandoned, readable while it lasts.
-- depends: 0010_checks
ALTER TABLE chain_head ADD COLUMN suspect_reason text;
ALTER TABLE chain_head ADD COLUMN suspect_since timestamptz;
COMMENT ON COLUMN chain_head.finalised_block IS 'Highest block that was told to be accepted on L1, of the branch that the tables hold; NULL: the node did not say.';
COMMENT ON COLUMN chain_head.suspect_reason IS 'Why it is not decided whether the chain still holds the committed block; NULL: nothing is doubted.';
COMMENT ON COLUMN chain_head.suspect_since IS 'Wall-clock time at which the doubt began; NULL: nothing is doubted.';

CREATE OR REPLACE VIEW indexer_status AS
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
    c.fold_version AS fold_version,
    h.suspect_reason IS NOT NULL AS is_suspect,
    h.suspect_reason AS suspect_reason,
    h.suspect_since AS suspect_since
FROM cursor c
LEFT JOIN chain_head h ON true;
COMMENT ON COLUMN indexer_status.is_suspect IS 'Whether it is not decided if the chain still holds the committed block; nothing is committed meanwhile.';
COMMENT ON COLUMN indexer_status.suspect_reason IS 'Why; NULL: nothing is doubted.';
COMMENT ON COLUMN indexer_status.suspect_since IS 'When the doubt began; NULL: nothing is doubted.';
