-- name: layouts
-- The numbers of the layouts that events of these names ($1) have.
SELECT id FROM event_layouts WHERE name = ANY ($1::text[]) ORDER BY id;

-- name: emitters
-- The numbers of the contracts at these addresses ($1).
SELECT id FROM event_emitters WHERE address = ANY ($1::text[]) ORDER BY id;

-- name: emitters_of_kinds
-- The numbers of the contracts of these kinds and generations ($1).
SELECT id FROM event_emitters WHERE contract = ANY ($1::text[]) ORDER BY id;

-- name: count_of_layouts
-- How many events have these layouts ($1), counted up to $2.
SELECT count(*)
FROM (SELECT FROM event_log WHERE decoded_as = ANY ($1::integer[]) LIMIT $2) AS counted;

-- name: count_of_emitters
-- How many events these contracts ($1) emitted, counted up to $2.
SELECT count(*)
FROM (SELECT FROM event_log WHERE emitter = ANY ($1::integer[]) LIMIT $2) AS counted;
