DROP TABLE check_failures;
DELETE FROM reconciliation_differences d
USING reconciliation_differences other
WHERE (d.reconciliation_id, d.table_name, d.row_id, d.column_name)
        = (other.reconciliation_id, other.table_name, other.row_id, other.column_name)
    AND (d.view, d.contract) > (other.view, other.contract);
ALTER TABLE reconciliation_differences DROP CONSTRAINT reconciliation_differences_pkey,
    ADD PRIMARY KEY (reconciliation_id, table_name, row_id, column_name);
DROP INDEX idx_vesu_positions_shares_to_debt;
DROP INDEX idx_vesu_positions_valued_at_block;
COMMENT ON COLUMN vesu_positions.valued_at IS 'Block time for which the amounts and values hold, interest included.';
COMMENT ON COLUMN vesu_positions.valued_at_block IS 'Block for which they hold.';
