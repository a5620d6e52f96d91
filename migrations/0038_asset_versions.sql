-- Versions of assets without what never changes and with their settings by reference.
-- depends: 0037_versions

-- The id of settings: the first 16 bytes of the SHA-256 of their values as text.
CREATE TABLE asset_settings (
    id uuid PRIMARY KEY,
    max_utilization numeric(78, 0) NOT NULL,
    floor numeric(78, 0) NOT NULL,
    scale numeric(78, 0) NOT NULL,
    is_legacy boolean NOT NULL,
    fee_rate numeric(78, 0) NOT NULL,
    v_token text,
    min_target_utilization numeric(78, 0) NOT NULL,
    max_target_utilization numeric(78, 0) NOT NULL,
    target_utilization numeric(78, 0) NOT NULL,
    min_full_utilization_rate numeric(78, 0) NOT NULL,
    max_full_utilization_rate numeric(78, 0) NOT NULL,
    zero_utilization_rate numeric(78, 0) NOT NULL,
    rate_half_life numeric(78, 0) NOT NULL,
    target_rate_percent numeric(78, 0) NOT NULL,
    variant text NOT NULL,
    rate_model_block bigint
);
CREATE TABLE asset_versions (
    -- Wide columns first, so that none is padded; what may be NULL last.
    block_number bigint NOT NULL,
    last_updated timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    id uuid NOT NULL,
    settings_id uuid NOT NULL,
    price_block bigint,
    price_timestamp timestamptz,
    rates_confirmed_block bigint,
    price_is_valid boolean,
    total_collateral_shares numeric(78, 0) NOT NULL,
    total_nominal_debt numeric(78, 0) NOT NULL,
    reserve numeric(78, 0) NOT NULL,
    last_rate_accumulator numeric(78, 0) NOT NULL,
    last_full_utilization_rate numeric(78, 0) NOT NULL,
    fee_shares numeric(78, 0) NOT NULL,
    unowned_shares numeric(78, 0) NOT NULL,
    price numeric(78, 0)
);

ALTER TABLE vesu_asset_history RENAME TO vesu_asset_history_before;
ALTER TABLE vesu_asset_history_before ADD COLUMN settings_id uuid;
UPDATE vesu_asset_history_before
SET settings_id = encode(substring(
        sha256(convert_to(concat_ws('|',
            max_utilization, floor, scale, is_legacy::text, fee_rate, coalesce(v_token, '~'),
            min_target_utilization, max_target_utilization, target_utilization,
            min_full_utilization_rate, max_full_utilization_rate, zero_utilization_rate,
            rate_half_life, target_rate_percent, variant, coalesce(rate_model_block::text, '~')
        ), 'UTF8')) FOR 16
    ), 'hex')::uuid;
INSERT INTO asset_settings
SELECT DISTINCT ON (settings_id) settings_id, max_utilization, floor, scale, is_legacy, fee_rate,
    v_token, min_target_utilization, max_target_utilization, target_utilization,
    min_full_utilization_rate, max_full_utilization_rate, zero_utilization_rate, rate_half_life,
    target_rate_percent, variant, rate_model_block
FROM vesu_asset_history_before
ORDER BY settings_id;
INSERT INTO asset_versions
SELECT block_number, last_updated, changed_at, transaction_index, event_index, id, settings_id,
    price_block, price_timestamp, rates_confirmed_block, price_is_valid, total_collateral_shares,
    total_nominal_debt, reserve, last_rate_accumulator, last_full_utilization_rate, fee_shares,
    unowned_shares, price
FROM vesu_asset_history_before;
ALTER TABLE asset_versions ADD PRIMARY KEY (id, block_number, transaction_index, event_index);
CREATE INDEX idx_asset_versions_block ON asset_versions (block_number);

CREATE VIEW vesu_asset_history AS
SELECT v.id, c.pool_id, c.pool_address, c.protocol, c.asset_address, v.total_collateral_shares,
    v.total_nominal_debt, v.reserve, s.max_utilization, s.floor, s.scale, s.is_legacy,
    v.last_updated, v.last_rate_accumulator, v.last_full_utilization_rate, s.fee_rate,
    v.fee_shares, v.price, v.price_is_valid, v.price_block, s.v_token, s.min_target_utilization,
    s.max_target_utilization, s.target_utilization, s.min_full_utilization_rate,
    s.max_full_utilization_rate, s.zero_utilization_rate, s.rate_half_life, s.target_rate_percent,
    v.changed_at, v.block_number, v.transaction_index, v.event_index, s.variant, v.unowned_shares,
    v.price_timestamp, s.rate_model_block, v.rates_confirmed_block
FROM asset_versions v
JOIN vesu_assets c ON c.id = v.id
-- A left join, which the planner leaves out where no column of the settings is asked for.
LEFT JOIN asset_settings s ON s.id = v.settings_id;
CREATE OR REPLACE VIEW vesu_event_prices AS
SELECT c.pool_id, v.id AS asset_id, c.pool_address, c.protocol, c.asset_address, v.block_number,
    b.hash AS block_hash, v.changed_at AS timestamp, v.price, v.price_is_valid AS is_valid,
    'event'::text AS source, NULL::bigint AS sampling, NULL::numeric(78, 0)[] AS rate_model,
    v.transaction_index, v.event_index
FROM asset_versions v
JOIN vesu_assets c ON c.id = v.id
JOIN blocks b ON b.number = v.block_number
WHERE v.price_block = v.block_number
    AND NOT EXISTS (
        SELECT FROM asset_versions later
        WHERE later.id = v.id AND later.block_number = v.block_number
            AND (later.transaction_index, later.event_index)
                > (v.transaction_index, v.event_index)
    );

-- The views take over comments and rights, the tables the comments.
DO $$
DECLARE
    taken text[];
    commented record;
    given record;
BEGIN
    FOREACH taken SLICE 1 IN ARRAY ARRAY[
        ['vesu_asset_history', 'asset_versions', 'asset_settings']
    ] LOOP
        FOR commented IN
            SELECT c.oid::regclass AS relation, a.attname, col_description(b.attrelid, b.attnum) AS text
            FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
            JOIN pg_attribute b ON b.attrelid = to_regclass(taken[1] || '_before')
                AND b.attname = a.attname
            WHERE c.oid IN (to_regclass(taken[1]), to_regclass(taken[2]), to_regclass(taken[3]))
                AND NOT (c.relname = taken[3] AND a.attname = 'id')
        LOOP
            EXECUTE format(
                'COMMENT ON COLUMN %s.%I IS %L', commented.relation, commented.attname, commented.text
            );
        END LOOP;
        EXECUTE format(
            'COMMENT ON VIEW %I IS %L', taken[1],
            obj_description(to_regclass(taken[1] || '_before'), 'pg_class')
        );
        FOR given IN
            SELECT x.grantee, x.privilege_type, x.is_grantable
            FROM pg_class c, aclexplode(c.relacl) AS x
            WHERE c.oid = to_regclass(taken[1] || '_before') AND x.grantee <> c.relowner
        LOOP
            EXECUTE format(
                'GRANT %s ON %I TO %s%s', given.privilege_type, taken[1],
                CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE given.grantee::regrole::text END,
                CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
            );
        END LOOP;
        EXECUTE format('DROP TABLE %I', taken[1] || '_before');
    END LOOP;
END $$;
COMMENT ON COLUMN asset_versions.settings_id IS 'The settings: asset_settings.id.';
COMMENT ON COLUMN asset_settings.id IS 'The first 16 bytes of the SHA-256 of the other values as text, joined by |, NULL as ~.';
COMMENT ON TABLE asset_versions IS 'Of each version of an asset what may change with each event. vesu_asset_history is a view of it, of vesu_assets and of asset_settings.';
COMMENT ON TABLE asset_settings IS 'Settings of assets, each combination of values once: versions of assets refer to them. Rows are only added.';
