-- name: present
-- Those of the indexes $1 that are there.
SELECT COALESCE(array_agg(c.relname::text), '{}')
FROM pg_class c
WHERE c.relname = ANY ($1::text[])
    AND c.relnamespace = to_regnamespace(current_schema())::oid;

-- name: wait_little
-- A reader that holds a table for long keeps its indexes.
SET LOCAL lock_timeout = '2s';

-- name: take_time
-- An index of a large table takes longer than other statements may.
SET LOCAL statement_timeout = 0;

-- name: drop
-- The indexes that a fill never reads.
DROP INDEX IF EXISTS idx_vesu_positions_status, idx_vesu_positions_health_factor,
    idx_vesu_positions_status_health, idx_vesu_positions_last_updated,
    idx_vesu_positions_valued_at_block, idx_vesu_positions_shares_to_debt,
    idx_vesu_positions_by_debt, idx_vesu_positions_by_shares;
