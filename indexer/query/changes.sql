-- name: are_few
-- Whether at most $2 versions of positions lie above a block ($1).
SELECT count(*) <= $2
FROM (SELECT FROM position_versions WHERE block_number > $1 LIMIT $2 + 1) AS since;

-- name: are_few_in
-- Whether at most $3 versions of positions are of the blocks from $1 to $2.
SELECT count(*) <= $3
FROM (
    SELECT FROM position_versions WHERE block_number BETWEEN $1 AND $2 LIMIT $3 + 1
) AS between_them;

-- name: keys
-- The positions that changed above a block ($1).
SELECT c.pool_id, c.id::text AS id
FROM (SELECT DISTINCT id FROM position_versions WHERE block_number > $1) AS since
JOIN vesu_positions c USING (id);
