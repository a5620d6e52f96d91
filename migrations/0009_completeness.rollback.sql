ALTER TABLE blocks DROP COLUMN seal;
ALTER TABLE reorgs DROP COLUMN cause;
DROP TABLE completeness_gaps;
DROP TABLE verified_ranges;
