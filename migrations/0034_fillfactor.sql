-- Leave room in the pages of vesu_positions: a block values the rows near a liquidation anew, and a
-- new version of a row beside the old one writes one page into the write-ahead log, not two.
-- depends: 0033_rate_models

ALTER TABLE vesu_positions SET (fillfactor = 70);
