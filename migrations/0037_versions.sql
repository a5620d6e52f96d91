-- Versions of positions and pairs without what never changes: the histories become views that take it from the current rows.
-- depends: 0036_event_prices

ALTER TABLE vesu_position_history RENAME TO vesu_position_history_before;
CREATE TABLE position_versions (
    -- Wide columns first, so that none is padded; what is nearly always NULL last.
    block_number bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    id uuid NOT NULL,
    collateral_shares numeric(78, 0) NOT NULL,
    nominal_debt numeric(78, 0) NOT NULL,
    vtoken_balance_raw numeric(78, 0) NOT NULL,
    status text NOT NULL,
    migrated_block bigint
);
INSERT INTO position_versions
SELECT block_number, changed_at, transaction_index, event_index, id, collateral_shares,
    nominal_debt, vtoken_balance_raw, status, migrated_block
FROM vesu_position_history_before;
ALTER TABLE position_versions
    ADD PRIMARY KEY (id, block_number, transaction_index, event_index);
CREATE INDEX idx_position_versions_block ON position_versions (block_number);
CREATE VIEW vesu_position_history AS
SELECT v.id, c.pool_id, c.pool_address, c.protocol, c.user_id, c.kind, c.collateral_address,
    c.debt_address, c.v_token, v.collateral_shares, v.nominal_debt, v.vtoken_balance_raw, v.status,
    c.created_at, v.changed_at, v.block_number, v.transaction_index, v.event_index,
    v.migrated_block
FROM position_versions v
JOIN vesu_positions c ON c.id = v.id;

ALTER TABLE vesu_pool_history RENAME TO vesu_pool_history_before;
CREATE TABLE pool_versions (
    block_number bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    transaction_index integer NOT NULL,
    event_index integer NOT NULL,
    id uuid NOT NULL,
    is_configured boolean NOT NULL,
    max_ltv_raw numeric(78, 0) NOT NULL,
    liquidation_factor_raw numeric(78, 0) NOT NULL,
    debt_cap_raw numeric(78, 0) NOT NULL,
    pair_collateral_shares numeric(78, 0) NOT NULL,
    pair_nominal_debt numeric(78, 0) NOT NULL,
    debt_cap numeric,
    shutdown_ltv_raw numeric(78, 0)
);
INSERT INTO pool_versions
SELECT block_number, changed_at, transaction_index, event_index, id, is_configured, max_ltv_raw,
    liquidation_factor_raw, debt_cap_raw, pair_collateral_shares, pair_nominal_debt, debt_cap,
    shutdown_ltv_raw
FROM vesu_pool_history_before;
ALTER TABLE pool_versions ADD PRIMARY KEY (id, block_number, transaction_index, event_index);
CREATE INDEX idx_pool_versions_block ON pool_versions (block_number);
CREATE VIEW vesu_pool_history AS
SELECT v.id, c.pool_id, c.pool_address, c.protocol, c.collateral_address, c.debt_address,
    v.max_ltv_raw, v.liquidation_factor_raw, v.debt_cap_raw, v.pair_collateral_shares,
    v.pair_nominal_debt, v.is_configured,
    v.max_ltv_raw * 0.000000000000000001 AS max_ltv,
    v.max_ltv_raw * 0.000000000000000001 AS liquidation_threshold,
    -- 1 / factor - 1, rounded down to 18 digits; a factor of 0 counts as one.
    (div(1e36, CASE v.liquidation_factor_raw WHEN 0 THEN 1e18 ELSE v.liquidation_factor_raw END)
        - 1e18) * 0.000000000000000001 AS liquidation_bonus,
    v.debt_cap, c.created_at, v.changed_at, v.block_number, v.transaction_index, v.event_index,
    v.shutdown_ltv_raw
FROM pool_versions v
JOIN vesu_pools c ON c.id = v.id;

-- The views take over comments and rights, the tables the comments.
DO $$
DECLARE
    taken text[];
    commented record;
    given record;
BEGIN
    FOREACH taken SLICE 1 IN ARRAY ARRAY[
        ['vesu_position_history', 'position_versions'], ['vesu_pool_history', 'pool_versions']
    ] LOOP
        FOR commented IN
            SELECT c.oid::regclass AS relation, a.attname, col_description(b.attrelid, b.attnum) AS text
            FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
            JOIN pg_attribute b ON b.attrelid = to_regclass(taken[1] || '_before')
                AND b.attname = a.attname
            WHERE c.oid IN (to_regclass(taken[1]), to_regclass(taken[2]))
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
COMMENT ON TABLE position_versions IS 'Of each version of a position what may change. vesu_position_history is a view of it and of vesu_positions, which holds the rest.';
COMMENT ON TABLE pool_versions IS 'Of each version of a pair what may change. vesu_pool_history is a view of it and of vesu_pools, which holds the rest.';
