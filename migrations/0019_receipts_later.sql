-- Far behind the head blocks are known by their events alone, until the background reads them.
-- depends: 0018_serving

ALTER TABLE blocks ALTER COLUMN parent_hash DROP NOT NULL;
CREATE INDEX idx_blocks_by_events_alone ON blocks (number) WHERE parent_hash IS NULL;
COMMENT ON INDEX idx_blocks_by_events_alone IS 'Blocks whose header and receipts are still to be read in the background.';
COMMENT ON COLUMN blocks.parent_hash IS 'Hash of the block before; NULL: the block is known by its events alone so far, its header and receipts are still to be read.';
COMMENT ON COLUMN blocks.finality IS 'ACCEPTED_ON_L2 or ACCEPTED_ON_L1, as the node said when the block was read; ACCEPTED_ON_L2 while the header is still to be read.';
COMMENT ON COLUMN blocks.event_count IS 'Number of all events in the block by its header; NULL: the header is still to be read, or the node does not tell (RPC below 0.10).';
COMMENT ON COLUMN receipts.actual_fee IS 'Fee paid, in units of 10^-18 of the fee token. Far behind the head receipts are read after the events: a transaction without a row here is still to be read.';
COMMENT ON COLUMN vesu_transactions.gas_used IS 'Fee of the whole transaction in tokens of fee_unit; NULL: its receipt is still to be read in the background, or the node did not tell.';
