-- name: count
-- How many rows differ in state, and how many of them one side lacks.
SELECT count(*) FILTER (WHERE differs) AS differing,
    count(*) FILTER (WHERE NOT in_live) AS missing,
    count(*) FILTER (WHERE NOT in_shadow) AS extra
FROM vesu_shadow.differing_{name};

-- name: count_current
-- How many rows each side holds.
SELECT (SELECT count(*) FROM {live}.{name}) AS live_rows,
    (SELECT count(*) FROM vesu_shadow.{name}) AS shadow_rows;

-- name: count_appended
-- How many rows each side holds of the blocks $1 to $2.
SELECT
    (SELECT count(*) FROM {live}.{name} WHERE block_number BETWEEN $1 AND $2) AS live_rows,
    (SELECT count(*) FROM vesu_shadow.{name} WHERE block_number BETWEEN $1 AND $2) AS shadow_rows;

-- name: count_events
-- How many events the log holds of the blocks $1 to $2; all of them were decoded again.
SELECT count(*) AS live_rows, count(*) AS shadow_rows
FROM {live}.events
WHERE block_number BETWEEN $1 AND $2;

-- name: count_column
-- In how many rows that both sides hold each of the named columns differs.
SELECT l.key AS column_name, count(*) AS rows
FROM vesu_shadow.differing_{name} p
JOIN {live}.{name} live_row USING ({key})
JOIN vesu_shadow.{name} shadow_row USING ({key})
CROSS JOIN LATERAL jsonb_each(to_jsonb(live_row)) l
JOIN LATERAL jsonb_each(to_jsonb(shadow_row)) s ON s.key = l.key
WHERE p.differs AND l.key = ANY ($1::text[]) AND l.value IS DISTINCT FROM s.value
GROUP BY l.key;

-- name: count_column_of_events
-- In how many events each derived column differs.
SELECT l.key AS column_name, count(*) AS rows
FROM vesu_shadow.differing_events p
JOIN {live}.events live_row USING ({key})
JOIN vesu_shadow.derived shadow_row USING ({key})
CROSS JOIN LATERAL jsonb_each(to_jsonb(live_row)) l
JOIN LATERAL jsonb_each(to_jsonb(shadow_row)) s ON s.key = l.key
WHERE l.key = ANY ($1::text[]) AND l.value IS DISTINCT FROM s.value
GROUP BY l.key;

-- name: examples
-- The first rows that differ, each side as text by column.
SELECT
    (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(live_row)))::text AS live,
    (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(shadow_row)))::text
        AS shadow
FROM vesu_shadow.differing_{name} p
LEFT JOIN {live}.{name} live_row USING ({key})
LEFT JOIN vesu_shadow.{name} shadow_row USING ({key})
WHERE p.differs
ORDER BY {p_order}
LIMIT $1;

-- name: examples_of_events
-- The same for events that decode differently.
SELECT
    (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(live_row)))::text AS live,
    (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(shadow_row)))::text
        AS shadow
FROM vesu_shadow.differing_events p
JOIN {live}.events live_row USING ({key})
JOIN vesu_shadow.derived shadow_row USING ({key})
ORDER BY {p_order}
LIMIT $1;

-- name: first_of_keys
-- The first event whose rows differ, in a table whose key holds the event.
SELECT block_number, transaction_index, event_index
FROM vesu_shadow.differing_{name}
ORDER BY block_number, transaction_index, event_index
LIMIT 1;

-- name: first_of_rows
-- The same where the rows tell the event.
SELECT COALESCE(l.block_number, s.block_number),
    COALESCE(l.transaction_index, s.transaction_index),
    COALESCE(l.event_index, s.event_index)
FROM vesu_shadow.differing_{name} p
LEFT JOIN {live}.{name} l USING ({key})
LEFT JOIN vesu_shadow.{name} s USING ({key})
ORDER BY 1, 2, 3
LIMIT 1;

-- name: event
-- An event of the log as people name it.
SELECT block_number, transaction_index, event_index, transaction_hash, contract, name
FROM events
WHERE block_number = $1 AND transaction_index = $2 AND event_index = $3;
