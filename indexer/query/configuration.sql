-- name: pairs
-- Every change of a pair's limits in a pool above block $3 up to block $2. Of each pair the last
-- version up to $3 is looked at, too: the first one above it may differ.
WITH versions AS (
    SELECT h.*
    FROM vesu_pool_history h
    WHERE h.pool_id = $1 AND h.block_number > $3 AND h.block_number <= $2
    UNION ALL
    SELECT last.*
    FROM vesu_pools p
    CROSS JOIN LATERAL (
        SELECT h.*
        FROM vesu_pool_history h
        WHERE h.pool_id = p.pool_id AND h.id = p.id AND h.block_number <= $3
        ORDER BY h.block_number DESC, h.transaction_index DESC, h.event_index DESC
        LIMIT 1
    ) AS last
    WHERE p.pool_id = $1
)
SELECT *
FROM (
    SELECT h.id::text, h.collateral_address, h.debt_address, h.max_ltv_raw::text,
        h.liquidation_factor_raw::text, h.debt_cap_raw::text, h.changed_at, h.block_number,
        h.transaction_index, h.event_index,
        lag(h.max_ltv_raw::text) OVER place AS old_max_ltv_raw,
        lag(h.liquidation_factor_raw::text) OVER place AS old_liquidation_factor_raw,
        lag(h.debt_cap_raw::text) OVER place AS old_debt_cap_raw
    FROM versions h
    WINDOW place AS (
        PARTITION BY h.id ORDER BY h.block_number, h.transaction_index, h.event_index
    )
) AS compared
WHERE block_number > $3 AND (max_ltv_raw, liquidation_factor_raw, debt_cap_raw) IS DISTINCT FROM
    (old_max_ltv_raw, old_liquidation_factor_raw, old_debt_cap_raw)
ORDER BY block_number, transaction_index, event_index, id;

-- name: assets
-- Every version of the assets of a pool above block $3 up to block $2 whose settings differ from the
-- one before, with both. Equal settings have one id, so that the versions are told apart by it.
WITH versions AS (
    SELECT v.id, v.settings_id, v.changed_at, v.block_number, v.transaction_index, v.event_index
    FROM asset_versions v
    WHERE v.id IN (SELECT id FROM vesu_assets WHERE pool_id = $1)
        AND v.block_number > $3 AND v.block_number <= $2
    UNION ALL
    SELECT last.*
    FROM vesu_assets a
    CROSS JOIN LATERAL (
        SELECT v.id, v.settings_id, v.changed_at, v.block_number, v.transaction_index,
            v.event_index
        FROM asset_versions v
        WHERE v.id = a.id AND v.block_number <= $3
        ORDER BY v.block_number DESC, v.transaction_index DESC, v.event_index DESC
        LIMIT 1
    ) AS last
    WHERE a.pool_id = $1
),
changed AS (
    SELECT *
    FROM (
        SELECT v.*, lag(v.settings_id) OVER place AS before_id
        FROM versions v
        WINDOW place AS (
            PARTITION BY v.id ORDER BY v.block_number, v.transaction_index, v.event_index
        )
    ) AS compared
    WHERE block_number > $3 AND before_id IS DISTINCT FROM settings_id
),
settings AS (
    SELECT id, jsonb_build_object(
        'max_utilization', max_utilization::text, 'floor', floor::text,
        'fee_rate', fee_rate::text, 'v_token', v_token,
        'min_target_utilization', min_target_utilization::text,
        'max_target_utilization', max_target_utilization::text,
        'target_utilization', target_utilization::text,
        'min_full_utilization_rate', min_full_utilization_rate::text,
        'max_full_utilization_rate', max_full_utilization_rate::text,
        'zero_utilization_rate', zero_utilization_rate::text,
        'rate_half_life', rate_half_life::text,
        'target_rate_percent', target_rate_percent::text
    ) AS shown
    FROM asset_settings
    WHERE id IN (SELECT settings_id FROM changed UNION SELECT before_id FROM changed)
)
SELECT c.id::text, a.asset_address, c.changed_at, c.block_number, c.transaction_index,
    c.event_index, now.shown AS now, before.shown AS before
FROM changed c
JOIN vesu_assets a ON a.pool_id = $1 AND a.id = c.id
JOIN settings now ON now.id = c.settings_id
LEFT JOIN settings before ON before.id = c.before_id
WHERE before.shown IS DISTINCT FROM now.shown
ORDER BY c.block_number, c.transaction_index, c.event_index, c.id;

-- name: contracts
-- Every version of a pool's own settings above block $3 up to block $2 that differs from the one
-- before. They are few.
SELECT *
FROM (
    SELECT h.address, h.kind, h.block_number, h.transaction_index, h.event_index,
        (SELECT timestamp FROM blocks b WHERE b.number = h.block_number) AS changed_at,
        settings.now, lag(settings.now) OVER place AS before
    FROM contract_history h
    CROSS JOIN LATERAL (
        SELECT jsonb_build_object(
            'name', h.name, 'owner', h.owner, 'curator', h.curator, 'oracle', h.oracle,
            'fee_recipient', h.fee_recipient, 'pausing_agent', h.pausing_agent,
            'extension', h.extension, 'class_hash', h.class_hash, 'is_paused', h.is_paused
        ) AS now
    ) settings
    WHERE h.pool_id = $1 AND h.address = $1 AND h.block_number <= $2
    WINDOW place AS (
        PARTITION BY h.address, h.kind
        ORDER BY h.block_number, h.transaction_index, h.event_index
    )
) AS versions
WHERE block_number > $3 AND before IS DISTINCT FROM now
ORDER BY block_number, transaction_index, event_index;
