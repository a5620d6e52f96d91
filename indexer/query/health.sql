-- name: differences
-- Values of listed pools' rows that a check found different from the contracts' and no later one
-- equal: a stranger's pool may be of any class. Rows that are there no more count.
SELECT count(*) AS differences, count(DISTINCT (d.table_name, d.row_id)) AS rows,
    min(r.block_number) AS block_number
FROM reconciliation_differences d
JOIN reconciliations r ON r.id = d.reconciliation_id
WHERE d.resolved_by IS NULL
    AND NOT EXISTS (
        SELECT FROM vesu_positions p
        WHERE d.table_name IN ('vesu_positions', 'vesu_position_history')
            -- By the index; other tables' keys are no UUIDs.
            AND p.id = CASE WHEN d.table_name LIKE 'vesu_position%' THEN d.row_id::uuid END
            AND NOT p.is_listed
        UNION ALL
        SELECT FROM vesu_assets a
        WHERE d.table_name IN ('vesu_assets', 'vesu_asset_history') AND a.id::text = d.row_id
            AND NOT a.is_listed
        UNION ALL
        SELECT FROM vesu_pools p
        WHERE d.table_name IN ('vesu_pools', 'vesu_pool_history') AND p.id::text = d.row_id
            AND NOT p.is_listed
        UNION ALL
        SELECT FROM contracts c
        WHERE d.table_name IN ('contracts', 'contract_history')
            AND c.address = split_part(d.row_id, ' ', 1)
            AND EXISTS (SELECT FROM listed_pools)
            AND NOT EXISTS (
                SELECT FROM listed_pools l
                WHERE l.pool_id IN (c.pool_id, c.pool_address, c.address)
            )
    );

-- name: broken_sums
-- Sums of listed pools that do not agree: how many, and the one that is broken longest. A sum of a
-- pool's asset is named by protocol, pool and asset.
SELECT count(*) AS count, (array_agg(invariant || ' of ' || what ORDER BY first_block, what))[1] AS first,
    min(first_block) AS since_block
FROM invariant_breaks b
WHERE mended_block IS NULL
    AND (
        b.what NOT LIKE '% 0x% 0x%'
        OR NOT EXISTS (SELECT FROM listed_pools)
        OR EXISTS (SELECT FROM listed_pools l WHERE l.pool_id = split_part(b.what, ' ', 2))
    );

-- name: quarantined
-- Listed pools that are frozen: how many, and the one that is frozen longest.
SELECT count(*) AS count,
    (array_agg(coalesce(name || ' ', '') || pool_id ORDER BY since_block, pool_id))[1] AS first,
    (array_agg(reason ORDER BY since_block, pool_id))[1] AS reason
FROM (
    SELECT coalesce(c.pool_id, c.address) AS pool_id, c.name, c.last_event_block AS since_block,
        c.quarantine_reason AS reason
    FROM contracts c
    WHERE c.quarantine_reason IS NOT NULL
) AS frozen
WHERE NOT EXISTS (SELECT FROM listed_pools)
    OR EXISTS (SELECT FROM listed_pools l WHERE l.pool_id = frozen.pool_id);

-- name: failed_checks
-- Checks that could not be done, for a reason that does not pass or three times in a row.
SELECT name, reason, failures
FROM check_failures
WHERE NOT may_pass OR failures >= 3
ORDER BY first_failed_at;

-- name: stale_prices
-- Assets of listed pools that are supplied or owed and whose price passes for valid, but lacks a
-- newer one since a block that is more than $1 seconds older than the committed one: how many, and
-- the one that lacks it longest; apart those of V1 pools whose extension is not configured, and that
-- extension. A chain that rests, and then makes one block, has not aged a price.
SELECT unknown_extension IS NOT NULL AS is_unknown, count(*) AS count, max(age) AS oldest,
    (array_agg(coalesce(symbol, asset_address) || ' of pool ' || pool_id
        || coalesce(', whose extension is ' || unknown_extension, '')
        ORDER BY age DESC, pool_id, asset_address))[1] AS first
FROM (
    SELECT a.pool_id, a.symbol, a.asset_address,
        (
            SELECT p.extension FROM contracts p
            WHERE p.kind IN ('pool_v1_0', 'pool_v1_1') AND p.pool_id = a.pool_id
                AND p.pool_address = a.pool_address
                AND NOT EXISTS (SELECT FROM configured_contracts WHERE address = p.extension)
        ) AS unknown_extension,
        extract(epoch FROM c.block_timestamp - b.timestamp)::bigint AS age
    FROM vesu_assets a
    CROSS JOIN cursor c
    CROSS JOIN LATERAL (
        SELECT timestamp FROM blocks WHERE number > a.price_block ORDER BY number LIMIT 1
    ) b
    WHERE a.is_listed AND a.price_is_valid
        AND (a.total_collateral_shares > 0 OR a.total_nominal_debt > 0)
        -- What V1.1 took over is priced there.
        AND NOT EXISTS (
            SELECT FROM contracts m
            WHERE m.kind = 'pool_v1_0' AND m.pool_id = a.pool_id
                AND m.pool_address = a.pool_address AND m.successor IS NOT NULL
        )
) AS priced
WHERE age > $1::double precision
GROUP BY is_unknown
ORDER BY is_unknown;
