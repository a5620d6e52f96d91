-- Pages of vesu_positions are filled again.

ALTER TABLE vesu_positions RESET (fillfactor);
