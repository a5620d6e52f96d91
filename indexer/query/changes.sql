-- name: are_few
-- Whether at most $2 versions of positions lie above a block ($1), up to block $3 (NULL: no end).
SELECT count(*) <= $2
FROM (
    SELECT
    FROM position_versions
    WHERE block_number > $1 AND block_number <= COALESCE($3::bigint, 9223372036854775807)
    LIMIT $2 + 1
) AS since;

-- name: keys
-- The positions that changed above a block ($1).
SELECT c.pool_id, c.id::text AS id
FROM (SELECT DISTINCT id FROM position_versions WHERE block_number > $1) AS since
JOIN vesu_positions c USING (id);
