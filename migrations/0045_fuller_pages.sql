-- Room for one or two new versions in each page of vesu_positions is as good as room for five: a
-- block's write-ahead log stays the same, and the table takes a sixth less.
-- depends: 0044_transaction_indexes

ALTER TABLE vesu_positions SET (fillfactor = 85);
