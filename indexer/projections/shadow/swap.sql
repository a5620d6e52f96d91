-- name: drop
-- Forget an earlier comparison.
DROP TABLE IF EXISTS vesu_shadow.differing_{name};

-- name: create
-- Room for the keys of rows that differ; `differs` is false where a row is only valued anew.
CREATE UNLOGGED TABLE vesu_shadow.differing_{name} AS
SELECT {key}, true AS in_live, true AS in_shadow, true AS differs
FROM {live}.{name}
WITH NO DATA;

-- name: create_key
-- One row a key.
ALTER TABLE vesu_shadow.differing_{name} ADD PRIMARY KEY ({key});

-- name: mark_appended
-- Rows of the blocks $1 to $2 that differ, in a table that is only added to.
INSERT INTO vesu_shadow.differing_{name} ({key}, in_live, in_shadow, differs)
SELECT {key}, l.here IS NOT NULL, s.here IS NOT NULL, true
FROM (
    SELECT *, true AS here FROM {live}.{name} WHERE block_number BETWEEN $1 AND $2
) AS l
FULL JOIN (
    SELECT *, true AS here FROM vesu_shadow.{name} WHERE block_number BETWEEN $1 AND $2
) AS s USING ({key})
WHERE l.here IS NULL OR s.here IS NULL OR ROW({l_values}) IS DISTINCT FROM ROW({s_values})
ON CONFLICT ({key}) DO NOTHING;

-- name: large_joins
-- Each side of most comparisons fits into memory then; a larger setting stays.
SELECT set_config('work_mem', $1::text, true)
WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes($1);

-- name: mark_current
-- Rows that differ, in a table of current rows.
INSERT INTO vesu_shadow.differing_{name} ({key}, in_live, in_shadow, differs)
SELECT {key}, l.here IS NOT NULL, s.here IS NOT NULL,
    true
FROM (SELECT *, true AS here FROM {live}.{name}) AS l
FULL JOIN (SELECT *, true AS here FROM vesu_shadow.{name}) AS s USING ({key})
WHERE l.here IS NULL OR s.here IS NULL OR ROW({l_compared}) IS DISTINCT FROM ROW({s_compared});

-- name: mark_recent
-- The same for rows that were written on either side since all were compared.
WITH recent AS (
    -- Everything that the comparison could not see has a transaction id of its xmin or later.
    SELECT {key} FROM {live}.{name}
    WHERE age(xmin) <= (SELECT age(compared_xmin::xid) FROM vesu_shadow.progress)
    UNION
    SELECT {key} FROM vesu_shadow.{name}
    WHERE age(xmin) <= (SELECT age(compared_xmin::xid) FROM vesu_shadow.progress)
)
INSERT INTO vesu_shadow.differing_{name} ({key}, in_live, in_shadow, differs)
SELECT {key}, l.here IS NOT NULL, s.here IS NOT NULL,
    true
FROM recent
LEFT JOIN (SELECT *, true AS here FROM {live}.{name}) AS l USING ({key})
LEFT JOIN (SELECT *, true AS here FROM vesu_shadow.{name}) AS s USING ({key})
WHERE l.here IS NULL OR s.here IS NULL OR ROW({l_compared}) IS DISTINCT FROM ROW({s_compared})
ON CONFLICT ({key}) DO UPDATE
SET (in_live, in_shadow, differs) = (excluded.in_live, excluded.in_shadow, excluded.differs);

-- name: mark_revalued
-- Rows of pools whose markets differ: what they are worth follows from those. The shadow's own
-- active rows are valued once they are marked.
INSERT INTO vesu_shadow.differing_{name} ({key}, in_live, in_shadow, differs)
SELECT {key}, true, true, false
FROM {live}.{name} l
JOIN vesu_shadow.{name} s USING ({key})
WHERE (
        EXISTS (SELECT FROM vesu_shadow.differing_contract_history)
        OR l.pool_id IN (
            SELECT pool_id FROM vesu_shadow.differing_vesu_asset_history
            UNION ALL
            SELECT pool_id FROM vesu_shadow.differing_vesu_pool_history
            UNION ALL
            SELECT pool_id FROM vesu_shadow.differing_vesu_assets
            UNION ALL
            SELECT pool_id FROM vesu_shadow.differing_vesu_pools
        )
    )
    AND (l.status = 'active' OR ROW({l_valuation}) IS DISTINCT FROM ROW({s_valuation}))
ON CONFLICT ({key}) DO NOTHING;

-- name: marked_active
-- The shadow's active rows that are to go live and were valued below block $1, at most $4 of them,
-- in the order of their keys from ($2, $3) on.
SELECT t.ctid, {aliased}
FROM vesu_shadow.differing_{name} p
JOIN vesu_shadow.{name} t USING ({key})
WHERE t.status = 'active' AND t.valued_at_block < $1 AND ({p_key}) > ($2, $3)
ORDER BY {p_key}
LIMIT $4;

-- name: mark_keys
-- Rows that are not worth what they say.
INSERT INTO vesu_shadow.differing_{name} ({key}, in_live, in_shadow, differs)
SELECT {key}, true, true, true FROM unnest({key_arrays}) AS wanted ({key})
ON CONFLICT ({key}) DO UPDATE SET differs = true;

-- name: mark_events
-- Events up to block $1 of which decoding says something else now.
INSERT INTO vesu_shadow.differing_events
    (block_number, transaction_index, event_index, in_live, in_shadow, differs)
SELECT block_number, transaction_index, event_index, true, true, true
FROM vesu_shadow.derived d
JOIN {live}.events e USING (block_number, transaction_index, event_index)
WHERE block_number <= $1
    AND (e.contract, e.name, e.args) IS DISTINCT FROM (d.contract, d.name, d.args)
ON CONFLICT (block_number, transaction_index, event_index) DO NOTHING;

-- name: marked
-- Remember for which block, branch and snapshot the rows were compared.
UPDATE vesu_shadow.progress
SET compared_block = block_number,
    compared_reorg = last_reorg,
    compared_xmin = pg_snapshot_xmin(pg_current_snapshot());

-- name: late_fees
-- Give the shadow's transactions the fees that were read after they were folded.
UPDATE vesu_shadow.vesu_transactions t
SET gas_used = r.actual_fee * 0.000000000000000001, fee_unit = r.fee_unit
FROM {live}.receipts r
WHERE (t.block_number, t.transaction_index) = (r.block_number, r.transaction_index)
    AND t.gas_used IS NULL;

-- name: late_fees_of_marked
-- The same for those that are to go live.
UPDATE vesu_shadow.vesu_transactions t
SET gas_used = r.actual_fee * 0.000000000000000001, fee_unit = r.fee_unit
FROM vesu_shadow.differing_vesu_transactions p, {live}.receipts r
WHERE (t.pool_id, t.id) = (p.pool_id, p.id)
    AND (t.block_number, t.transaction_index) = (r.block_number, r.transaction_index)
    AND t.gas_used IS NULL;

-- name: export_snapshot
-- Let another session see what this transaction sees.
SELECT pg_export_snapshot();

-- name: count
-- How many rows differ in state, and how many at all.
SELECT count(*) FILTER (WHERE differs) AS differing, count(*) AS all_rows
FROM vesu_shadow.differing_{name};

-- name: last_versions_differ
-- Whether the blocks $1 to $2 leave rows behind in another state.
WITH live_last AS (
    SELECT DISTINCT ON ({row_key}) {version}
    FROM {live}.{history}
    WHERE block_number BETWEEN $1 AND $2
    ORDER BY {row_key}, block_number DESC, transaction_index DESC, event_index DESC
),
shadow_last AS (
    SELECT DISTINCT ON ({row_key}) {version}
    FROM vesu_shadow.{history}
    WHERE block_number BETWEEN $1 AND $2
    ORDER BY {row_key}, block_number DESC, transaction_index DESC, event_index DESC
)
SELECT EXISTS (TABLE live_last EXCEPT TABLE shadow_last)
    OR EXISTS (TABLE shadow_last EXCEPT TABLE live_last);

-- name: delete_gone
-- Take out what the shadow does not hold.
DELETE FROM {live}.{stored} l
USING vesu_shadow.differing_{name} p
WHERE ({l_stored_key}) = ({p_stored_key})
    AND NOT EXISTS (
        SELECT FROM vesu_shadow.{stored} s WHERE ({s_stored_key}) = ({p_stored_key})
    );

-- name: put_rows
-- Write the shadow's rows where they differ.
INSERT INTO {live}.{stored} AS l ({stored_columns})
SELECT {s_stored_columns}
FROM vesu_shadow.{stored} s
JOIN vesu_shadow.differing_{name} p USING ({stored_key})
ON CONFLICT ({stored_key}) DO UPDATE
SET ({stored_values}) = ROW({excluded_stored_values})
WHERE ROW({l_stored_values}) IS DISTINCT FROM ROW({excluded_stored_values});

-- name: add_emitters
-- Give a number to contracts that are of another kind now.
INSERT INTO {live}.event_emitters (address, contract)
SELECT DISTINCT e.from_address, d.contract
FROM vesu_shadow.derived d
JOIN {live}.events e USING (block_number, transaction_index, event_index)
WHERE d.block_number <= $1
    AND NOT EXISTS (
        SELECT FROM {live}.event_emitters m
        WHERE (m.address, m.contract) = (e.from_address, d.contract)
    );

-- name: add_layouts
-- Give a number to layouts that the log does not know.
INSERT INTO {live}.event_layouts (name, selectors, steps)
SELECT DISTINCT d.name, d.selectors, d.steps
FROM vesu_shadow.derived d
WHERE d.block_number <= $1 AND d.name IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM {live}.event_layouts y
        WHERE (y.name, y.selectors, y.steps) = (d.name, d.selectors, d.steps)
    );

-- name: put_settings
-- Write the settings that the shadow's versions refer to; those that only older ones do stay.
INSERT INTO {live}.{name} AS l ({columns})
SELECT {columns}
FROM vesu_shadow.{name}
ON CONFLICT ({key}) DO UPDATE
SET ({values}) = ROW({excluded_values})
WHERE ROW({l_values}) IS DISTINCT FROM ROW({excluded_values});

-- name: put_derived
-- Write what decoding says now to the log.
UPDATE {live}.event_log l
SET emitter = m.id,
    decoded_as = (
        SELECT min(y.id)
        FROM {live}.event_layouts y
        WHERE (y.name, y.selectors, y.steps) = (d.name, d.selectors, d.steps)
    )
FROM vesu_shadow.derived d
JOIN {live}.events e USING (block_number, transaction_index, event_index)
JOIN {live}.event_emitters m ON (m.address, m.contract) = (e.from_address, d.contract)
WHERE (l.block_number, l.transaction_index, l.event_index)
        = (d.block_number, d.transaction_index, d.event_index)
    AND d.block_number <= $1
    AND (e.contract, e.name, e.args) IS DISTINCT FROM (d.contract, d.name, d.args);

-- name: keep_pool
-- Of the marked rows, leave those of a pool.
DELETE FROM vesu_shadow.differing_{name} WHERE pool_id <> $1;

-- name: keep_contracts
-- Of the marked rows, leave the pool's own, its vTokens' and (V1) its row in the singleton.
DELETE FROM vesu_shadow.differing_{name} p
WHERE NOT EXISTS (
    SELECT FROM (
        SELECT {key}, pool_id, pool_address FROM {live}.{name}
        UNION ALL
        SELECT {key}, pool_id, pool_address FROM vesu_shadow.{name}
    ) AS t
    WHERE ({t_key}) = ({p_key}) AND $1 IN (t.address, t.pool_id, t.pool_address)
);

-- name: replaced
-- Tell the writer that the projections were replaced under it.
UPDATE cursor SET generation = generation + 1, fold_version = $1;
