-- name: create
-- What decoding says now of events of which the log holds something else.
CREATE UNLOGGED TABLE vesu_shadow.derived (
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    contract text,
    name text,
    args jsonb,
    selectors integer,
    steps text[],
    PRIMARY KEY (block_number, transaction_index, event_index)
);

-- name: differing
-- Which of these combinations, counted from 1, are not the same: a contract and a layout of the log
-- ($1, $2), and what decoding says now ($3, and in $4 the place of a layout in those that follow).
WITH layouts AS (
    SELECT place, name, selectors, steps::text[] AS steps
    FROM unnest($5::text[], $6::int[], $7::text[])
        WITH ORDINALITY AS w (name, selectors, steps, place)
)
SELECT d.number
FROM ROWS FROM (unnest($1::int[], $2::int[], $3::text[], $4::int[]))
    WITH ORDINALITY AS d (emitter, decoded_as, contract, place, number)
LEFT JOIN event_emitters m ON m.id = d.emitter
LEFT JOIN event_layouts y ON y.id = d.decoded_as
LEFT JOIN layouts n ON n.place = d.place
WHERE (m.contract, y.name, y.selectors, y.steps)
        IS DISTINCT FROM (d.contract, n.name, n.selectors, n.steps);

-- name: note
-- Keep what decoding says now, where the log holds something else.
WITH layouts AS (
    SELECT place, name, selectors, steps::text[] AS steps
    FROM unnest($6::text[], $7::int[], $8::text[])
        WITH ORDINALITY AS w (name, selectors, steps, place)
)
INSERT INTO vesu_shadow.derived
    (block_number, transaction_index, event_index, contract, name, args, selectors, steps)
SELECT d.block_number, d.transaction_index, d.event_index, d.contract, n.name,
    event_args(l.keys, l.data, n.selectors, n.steps), n.selectors, n.steps
FROM unnest($1::bigint[], $2::int[], $3::int[], $4::text[], $5::int[])
    AS d (block_number, transaction_index, event_index, contract, place)
JOIN event_log l USING (block_number, transaction_index, event_index)
LEFT JOIN event_emitters m ON m.id = l.emitter
LEFT JOIN event_layouts y ON y.id = l.decoded_as
LEFT JOIN layouts n ON n.place = d.place
WHERE (m.contract, y.name, y.selectors, y.steps)
        IS DISTINCT FROM (d.contract, n.name, n.selectors, n.steps)
    -- Other steps may still show the same arguments.
    AND (m.contract, y.name, event_args(l.keys, l.data, y.selectors, y.steps))
        IS DISTINCT FROM (d.contract, n.name, event_args(l.keys, l.data, n.selectors, n.steps));

-- name: drop_above
-- Forget what was noted of events above a block.
DELETE FROM vesu_shadow.derived WHERE block_number > $1;
