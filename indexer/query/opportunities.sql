-- name: candidates
-- The newest versions up to a block of the positions with these pool ids ($2) and ids ($3) that owe
-- something then.
SELECT h.*
FROM unnest($2::text[], $3::uuid[]) AS wanted (pool_id, id)
CROSS JOIN LATERAL (
    SELECT *
    FROM vesu_position_history v
    WHERE v.pool_id = wanted.pool_id AND v.id = wanted.id AND v.block_number <= $1
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h
WHERE h.nominal_debt > 0 AND h.migrated_block IS NULL;

-- name: borrowers
-- The newest versions up to a block of the positions of a pool ($2; NULL: of all) that owe something
-- then, at most $3.
SELECT h.*
FROM vesu_positions c
CROSS JOIN LATERAL (
    SELECT *
    FROM vesu_position_history v
    WHERE v.pool_id = c.pool_id AND v.id = c.id AND v.block_number <= $1
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h
WHERE ($2::text IS NULL OR c.pool_id = $2) AND h.nominal_debt > 0 AND h.migrated_block IS NULL
LIMIT $3;
