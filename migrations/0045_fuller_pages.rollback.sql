-- Pages that were filled meanwhile stay as they are.
ALTER TABLE vesu_positions SET (fillfactor = 70);
