-- name: due
-- Contracts that can be upgraded, whose class no node named yet, that were upgraded since, or whose
-- answer is older than $1 seconds.
SELECT w.address, w.kind, u.class_hash AS told
FROM watch_list w
LEFT JOIN contract_classes c ON c.address = w.address
LEFT JOIN contracts u ON u.address = w.address AND u.kind = w.kind
WHERE w.kind NOT LIKE 'vtoken%'
    AND (
        c.address IS NULL
        OR c.told_by_event IS DISTINCT FROM u.class_hash
        OR c.checked_at < clock_timestamp() - make_interval(secs => $1::double precision)
    )
ORDER BY c.checked_at NULLS FIRST, w.address
LIMIT 500;

-- name: note
-- Keep the class that a node named.
INSERT INTO contract_classes (address, kind, class_hash, class_name, told_by_event)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (address) DO UPDATE
SET (kind, class_hash, class_name, told_by_event, checked_at)
    = (excluded.kind, excluded.class_hash, excluded.class_name, excluded.told_by_event,
       clock_timestamp());

-- name: unknown
-- Contracts whose class nobody knows.
SELECT address, class_hash FROM contract_classes WHERE class_name IS NULL;

-- name: settle
-- Mark the pools whose contract, or in V1 whose extension, has a class that nobody knows.
UPDATE vesu_pools p
SET unknown_class = m.class_hash
FROM (
    SELECT v.pool_id, v.id, coalesce(own.class_hash, deciding.class_hash) AS class_hash
    FROM vesu_pools v
    LEFT JOIN contract_classes own
        ON own.address = v.pool_address AND own.class_name IS NULL
    LEFT JOIN contracts inner_pool
        ON inner_pool.address = v.pool_id AND inner_pool.kind IN ('pool_v1_0', 'pool_v1_1')
        AND inner_pool.pool_address = v.pool_address
    LEFT JOIN contract_classes deciding
        ON deciding.address = inner_pool.extension AND deciding.class_name IS NULL
) AS m
WHERE (p.pool_id, p.id) = (m.pool_id, m.id) AND p.unknown_class IS DISTINCT FROM m.class_hash;
