-- name: rows
-- Stored rows in the order of their blocks, with the times of these; the last columns are what the
-- rows are said to be worth. Of the keys $1 and $2, or all where those are NULL. Numbers go as text:
-- most are equal to the computed ones by their text already, and numbers are slow to read.
SELECT b.timestamp AS block_time, {read_as_text}
FROM {live}.{name} t
LEFT JOIN blocks b ON b.number = t.valued_at_block
WHERE $1::text[] IS NULL
    OR (t.pool_id, t.id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))
ORDER BY t.valued_at_block, t.sampling;
