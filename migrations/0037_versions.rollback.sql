ALTER VIEW vesu_position_history RENAME TO vesu_position_history_after;
CREATE TABLE vesu_position_history (
    id uuid NOT NULL,
    pool_id text NOT NULL,
    pool_address text NOT NULL,
    protocol text NOT NULL,
    user_id text NOT NULL,
    kind text NOT NULL,
    collateral_address text NOT NULL,
    debt_address text,
    v_token text,
    collateral_shares numeric(78,0) NOT NULL,
    nominal_debt numeric(78,0) NOT NULL,
    vtoken_balance_raw numeric(78,0) NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    migrated_block bigint,
    PRIMARY KEY (pool_id, id, block_number, transaction_index, event_index)
);
INSERT INTO vesu_position_history SELECT * FROM vesu_position_history_after;
CREATE INDEX idx_vesu_position_history_block ON vesu_position_history (block_number);

ALTER VIEW vesu_pool_history RENAME TO vesu_pool_history_after;
CREATE TABLE vesu_pool_history (
    id uuid NOT NULL,
    pool_id text NOT NULL,
    pool_address text NOT NULL,
    protocol text NOT NULL,
    collateral_address text NOT NULL,
    debt_address text NOT NULL,
    max_ltv_raw numeric(78,0) NOT NULL,
    liquidation_factor_raw numeric(78,0) NOT NULL,
    debt_cap_raw numeric(78,0) NOT NULL,
    pair_collateral_shares numeric(78,0) NOT NULL,
    pair_nominal_debt numeric(78,0) NOT NULL,
    is_configured boolean NOT NULL,
    max_ltv numeric NOT NULL,
    liquidation_threshold numeric NOT NULL,
    liquidation_bonus numeric NOT NULL,
    debt_cap numeric,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    block_number bigint NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    shutdown_ltv_raw numeric(78,0),
    PRIMARY KEY (pool_id, id, block_number, transaction_index, event_index)
);
INSERT INTO vesu_pool_history SELECT * FROM vesu_pool_history_after;
CREATE INDEX idx_vesu_pool_history_block ON vesu_pool_history (block_number);

DO $$
DECLARE
    taken text[];
    commented record;
    given record;
BEGIN
    FOREACH taken SLICE 1 IN ARRAY ARRAY[['vesu_position_history', 'position_versions'], ['vesu_pool_history', 'pool_versions']] LOOP
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
