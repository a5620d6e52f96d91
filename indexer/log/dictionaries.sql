-- name: emitters
-- The numbers of contracts, in the order of their addresses and kinds; new ones get one.
WITH wanted AS (
    SELECT place, address, contract
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (address, contract, place)
),
added AS (
    INSERT INTO event_emitters (address, contract)
    SELECT address, contract
    FROM wanted
    WHERE NOT EXISTS (
        SELECT FROM event_emitters m
        WHERE (m.address, m.contract) = (wanted.address, wanted.contract)
    )
    ORDER BY place
    RETURNING id, address, contract
)
SELECT known.id
FROM wanted
JOIN (
    SELECT id, address, contract FROM event_emitters
    UNION ALL
    SELECT id, address, contract FROM added
) AS known USING (address, contract)
ORDER BY wanted.place;

-- name: layouts
-- The numbers of layouts, in their order; new ones get one.
WITH wanted AS (
    SELECT place, name, selectors, steps::text[] AS steps
    FROM unnest($1::text[], $2::integer[], $3::text[])
        WITH ORDINALITY AS w (name, selectors, steps, place)
),
added AS (
    INSERT INTO event_layouts (name, selectors, steps)
    SELECT name, selectors, steps
    FROM wanted
    WHERE NOT EXISTS (
        SELECT FROM event_layouts y
        WHERE (y.name, y.selectors, y.steps) = (wanted.name, wanted.selectors, wanted.steps)
    )
    GROUP BY name, selectors, steps
    ORDER BY min(place)
    RETURNING id, name, selectors, steps
)
SELECT min(known.id) AS id
FROM wanted
JOIN (
    SELECT id, name, selectors, steps FROM event_layouts
    UNION ALL
    SELECT id, name, selectors, steps FROM added
) AS known USING (name, selectors, steps)
GROUP BY wanted.place
ORDER BY wanted.place;
