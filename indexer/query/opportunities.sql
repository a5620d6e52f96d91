-- name: borrowers
-- The newest versions up to a block of the positions that owe something then, of a pool (NULL: of
-- all); of those whose stored health factor is below a bound or not known (NULL: of all).
SELECT h.*
FROM vesu_positions c
CROSS JOIN LATERAL (
    SELECT *
    FROM vesu_position_history v
    WHERE v.pool_id = c.pool_id AND v.id = c.id AND v.block_number <= $1
    ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
    LIMIT 1
) h
WHERE ($2::text IS NULL OR c.pool_id = $2)
    AND (
        $3::numeric IS NULL
        OR (c.status = 'active' AND c.nominal_debt > 0
            AND (c.health_factor IS NULL OR c.health_factor < $3))
    )
    AND h.nominal_debt > 0
    AND h.migrated_block IS NULL;
