-- name: near
-- The verified ranges that overlap or touch a range, after the digest of the present watch list;
-- one row of that alone where there are none.
SELECT present.digest AS present, r.first_block, r.last_block, r.method, r.verified_at, r.watch_list
FROM (SELECT (SELECT digest FROM watch_list_version) AS digest) AS present
LEFT JOIN verified_ranges r ON r.last_block >= $1::bigint - 1 AND r.first_block <= $2::bigint + 1
ORDER BY r.first_block;

-- name: forget
-- Take out the ranges that begin at these blocks.
DELETE FROM verified_ranges WHERE first_block = ANY ($1::bigint[]);

-- name: are_many
-- Whether there are so many ranges or more.
SELECT count(*) >= $1 FROM (SELECT FROM verified_ranges LIMIT $1) AS counted;

-- name: method_of
-- How a block is proved.
SELECT method FROM verified_ranges WHERE first_block <= $1 AND last_block >= $1;

-- name: put
-- Add ranges, or put them in the place of those that begin with the same blocks.
INSERT INTO verified_ranges (first_block, last_block, method, verified_at, watch_list)
SELECT *
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[])
ON CONFLICT (first_block) DO UPDATE
SET (last_block, method, verified_at, watch_list)
    = (excluded.last_block, excluded.method, excluded.verified_at, excluded.watch_list);

-- name: drop_above
-- Forget the ranges that begin above a block.
DELETE FROM verified_ranges WHERE first_block > $1;

-- name: cut_above
-- End the range that reaches above a block at it.
UPDATE verified_ranges SET last_block = $1 WHERE last_block > $1;

-- name: lacking
-- The parts of a range that no range of these methods covers for the present watch list, highest
-- first.
SELECT before + 1 AS first_block, first_block - 1 AS last_block
FROM (
    SELECT first_block, lag(last_block, 1, $1::bigint - 1) OVER (ORDER BY first_block) AS before
    FROM (
        SELECT first_block, last_block
        FROM verified_ranges
        WHERE method = ANY ($3::text[]) AND last_block >= $1 AND first_block <= $2
            AND watch_list IS NOT DISTINCT FROM (SELECT digest FROM watch_list_version)
        UNION ALL
        SELECT $2::bigint + 1, $2::bigint + 1
    ) AS covered
) AS neighbours
WHERE before + 1 < first_block
ORDER BY first_block DESC
LIMIT $4;
