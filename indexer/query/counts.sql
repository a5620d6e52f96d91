-- name: positions
-- Positions by generation, in listed pools or not, as they stand at the committed block.
SELECT protocol, is_listed, count(*) FILTER (WHERE active > 0) AS users,
    sum(active)::bigint AS active_positions, sum(owing)::bigint AS positions_with_debt
FROM (
    SELECT protocol, is_listed, user_id,
        count(*) FILTER (WHERE status = 'active' AND kind <> 'system') AS active,
        count(*) FILTER (WHERE status = 'active' AND nominal_debt > 0) AS owing
    FROM vesu_positions
    GROUP BY protocol, is_listed, user_id
) AS of_users
GROUP BY protocol, is_listed;

-- name: effects
-- Effects by type up to block $1: in listed pools and by how many users, and in others.
SELECT type, sum(listed)::bigint AS effects, count(*) FILTER (WHERE listed > 0) AS users,
    sum(others)::bigint AS unlisted_effects
FROM (
    SELECT t.type, t.user_id, count(*) FILTER (WHERE p.is_listed) AS listed,
        count(*) FILTER (WHERE NOT p.is_listed) AS others
    FROM vesu_transactions t
    JOIN (SELECT DISTINCT pool_id, is_listed FROM vesu_assets) p USING (pool_id)
    WHERE t.block_number <= $1
    GROUP BY t.type, t.user_id
) AS of_users
GROUP BY type;

-- name: rows
-- How many rows the large tables hold.
SELECT (SELECT count(*) FROM event_log) AS events,
    (SELECT count(*) FROM vesu_positions) AS positions,
    (SELECT count(*) FROM vesu_transactions) AS transactions,
    (SELECT count(*) FROM vesu_liquidations) AS liquidations;

-- name: positions_between
-- What changed above block $1 up to block $2: the same numbers, and how many positions are new.
WITH changed AS (
    SELECT DISTINCT pool_id, id
    FROM vesu_position_history
    WHERE block_number > $1 AND block_number <= $2
), classes AS (
    SELECT DISTINCT c.protocol, c.is_listed, c.user_id
    FROM changed
    JOIN vesu_positions c USING (pool_id, id)
), held AS (
    SELECT c.protocol, c.is_listed, c.user_id, c.kind, before.status AS status_before,
        before.nominal_debt AS debt_before, after.status, after.nominal_debt
    FROM classes
    JOIN vesu_positions c USING (protocol, is_listed, user_id)
    LEFT JOIN LATERAL (
        SELECT v.status, v.nominal_debt
        FROM vesu_position_history v
        WHERE v.pool_id = c.pool_id AND v.id = c.id AND v.block_number <= $1
        ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
        LIMIT 1
    ) before ON true
    LEFT JOIN LATERAL (
        SELECT v.status, v.nominal_debt
        FROM vesu_position_history v
        WHERE v.pool_id = c.pool_id AND v.id = c.id AND v.block_number <= $2
        ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
        LIMIT 1
    ) after ON true
), of_users AS (
    SELECT protocol, is_listed,
        count(*) FILTER (WHERE status = 'active' AND kind <> 'system') AS active,
        count(*) FILTER (WHERE status_before = 'active' AND kind <> 'system') AS active_before,
        count(*) FILTER (WHERE status = 'active' AND nominal_debt > 0) AS owing,
        count(*) FILTER (WHERE status_before = 'active' AND debt_before > 0) AS owing_before,
        count(*) FILTER (WHERE status IS NOT NULL AND status_before IS NULL) AS new
    FROM held
    GROUP BY protocol, is_listed, user_id
)
SELECT protocol, is_listed,
    count(*) FILTER (WHERE active > 0) - count(*) FILTER (WHERE active_before > 0) AS users,
    (sum(active) - sum(active_before))::bigint AS active_positions,
    (sum(owing) - sum(owing_before))::bigint AS positions_with_debt,
    sum(new)::bigint AS new
FROM of_users
GROUP BY protocol, is_listed;

-- name: effects_between
-- What came above block $1 up to block $2: the same numbers; users are those without one before.
SELECT type, sum(listed)::bigint AS effects,
    count(*) FILTER (WHERE listed > 0 AND NOT EXISTS (
        SELECT 1
        FROM vesu_transactions b
        WHERE b.user_id = of_users.user_id AND b.type = of_users.type AND b.block_number <= $1
            AND b.pool_id = ANY (ARRAY(SELECT pool_id FROM vesu_assets WHERE is_listed))
    )) AS users,
    sum(others)::bigint AS unlisted_effects
FROM (
    SELECT t.type, t.user_id, count(*) FILTER (WHERE p.is_listed) AS listed,
        count(*) FILTER (WHERE NOT p.is_listed) AS others
    FROM vesu_transactions t
    JOIN (SELECT DISTINCT pool_id, is_listed FROM vesu_assets) p USING (pool_id)
    WHERE t.block_number > $1 AND t.block_number <= $2
    GROUP BY t.type, t.user_id
) AS of_users
GROUP BY type;

-- name: rows_between
-- How many rows came above block $1 up to block $2.
SELECT (SELECT count(*) FROM event_log WHERE block_number > $1 AND block_number <= $2) AS events,
    (SELECT count(*) FROM vesu_transactions WHERE block_number > $1 AND block_number <= $2)
        AS transactions,
    (SELECT count(*) FROM vesu_liquidations WHERE block_number > $1 AND block_number <= $2)
        AS liquidations;

-- name: listing
-- Which pools are listed, as one text.
SELECT coalesce(string_agg(pool_id, ',' ORDER BY pool_id), '') FROM listed_pools;

-- name: allow_long
-- Let the counting of whole tables take longer than what answers a page.
SET LOCAL statement_timeout = '600s';
