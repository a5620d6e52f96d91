ALTER VIEW vesu_asset_history RENAME TO vesu_asset_history_after;
CREATE TABLE vesu_asset_history (
    id uuid NOT NULL,
    pool_id text NOT NULL,
    pool_address text NOT NULL,
    protocol text NOT NULL,
    asset_address text NOT NULL,
    total_collateral_shares numeric(78,0) NOT NULL,
    total_nominal_debt numeric(78,0) NOT NULL,
    reserve numeric(78,0) NOT NULL,
    max_utilization numeric(78,0) NOT NULL,
    floor numeric(78,0) NOT NULL,
    scale numeric(78,0) NOT NULL,
    is_legacy boolean NOT NULL,
    last_updated timestamptz NOT NULL,
    last_rate_accumulator numeric(78,0) NOT NULL,
    last_full_utilization_rate numeric(78,0) NOT NULL,
    fee_rate numeric(78,0) NOT NULL,
    fee_shares numeric(78,0) NOT NULL,
    price numeric(78,0),
    price_is_valid boolean,
    price_block bigint,
    v_token text,
    min_target_utilization numeric(78,0) NOT NULL,
    max_target_utilization numeric(78,0) NOT NULL,
    target_utilization numeric(78,0) NOT NULL,
    min_full_utilization_rate numeric(78,0) NOT NULL,
    max_full_utilization_rate numeric(78,0) NOT NULL,
    zero_utilization_rate numeric(78,0) NOT NULL,
    rate_half_life numeric(78,0) NOT NULL,
    target_rate_percent numeric(78,0) NOT NULL,
    changed_at timestamptz NOT NULL,
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    variant text NOT NULL DEFAULT 'v2',
    unowned_shares numeric(78,0) NOT NULL DEFAULT 0,
    price_timestamp timestamptz,
    rate_model_block bigint,
    rates_confirmed_block bigint,
    PRIMARY KEY (pool_id, id, block_number, transaction_index, event_index)
);
INSERT INTO vesu_asset_history SELECT * FROM vesu_asset_history_after;
CREATE INDEX idx_vesu_asset_history_block ON vesu_asset_history (block_number);

CREATE OR REPLACE VIEW vesu_event_prices AS
SELECT h.pool_id, h.id AS asset_id, h.pool_address, h.protocol, h.asset_address, h.block_number,
    b.hash AS block_hash, h.changed_at AS timestamp, h.price, h.price_is_valid AS is_valid,
    'event'::text AS source, NULL::bigint AS sampling, NULL::numeric(78, 0)[] AS rate_model,
    h.transaction_index, h.event_index
FROM vesu_asset_history h
JOIN blocks b ON b.number = h.block_number
WHERE h.price_block = h.block_number
    AND NOT EXISTS (
        SELECT FROM vesu_asset_history later
        WHERE later.pool_id = h.pool_id AND later.id = h.id
            AND later.block_number = h.block_number
            AND (later.transaction_index, later.event_index)
                > (h.transaction_index, h.event_index)
    );

DO $$
DECLARE
    taken text[];
    commented record;
    given record;
BEGIN
    FOREACH taken SLICE 1 IN ARRAY ARRAY[['vesu_asset_history', 'asset_versions']] LOOP
        FOR commented IN
            SELECT attname, col_description(attrelid, attnum) AS text
            FROM pg_attribute
            WHERE attrelid = to_regclass(taken[1] || '_after') AND attnum > 0
        LOOP
            EXECUTE format(
                'COMMENT ON COLUMN %I.%I IS %L', taken[1], commented.attname, commented.text
            );
        END LOOP;
        EXECUTE format(
            'COMMENT ON TABLE %I IS %L', taken[1],
            obj_description(to_regclass(taken[1] || '_after'), 'pg_class')
        );
        FOR given IN
            SELECT x.grantee, x.privilege_type, x.is_grantable
            FROM pg_class c, aclexplode(c.relacl) AS x
            WHERE c.oid = to_regclass(taken[1] || '_after') AND x.grantee <> c.relowner
        LOOP
            EXECUTE format(
                'GRANT %s ON %I TO %s%s', given.privilege_type, taken[1],
                CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE given.grantee::regrole::text END,
                CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
            );
        END LOOP;
        EXECUTE format('DROP VIEW %I', taken[1] || '_after');
        EXECUTE format('DROP TABLE %I', taken[2]);
    END LOOP;
END $$;
DROP TABLE asset_settings;
