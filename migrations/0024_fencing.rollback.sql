ALTER TABLE cursor DROP COLUMN writer_token;
