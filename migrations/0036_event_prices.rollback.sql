ALTER VIEW vesu_prices RENAME TO vesu_prices_after;
ALTER VIEW vesu_event_prices RENAME TO vesu_event_prices_after;

CREATE TABLE vesu_prices (
    pool_id text NOT NULL,
    asset_id uuid NOT NULL,
    pool_address text NOT NULL,
    protocol text NOT NULL,
    asset_address text NOT NULL,
    block_number bigint NOT NULL,
    block_hash text NOT NULL,
    timestamp timestamptz NOT NULL,
    price numeric(78, 0),
    is_valid boolean NOT NULL,
    source text NOT NULL,
    sampling bigint,
    rate_model numeric(78, 0)[],
    transaction_index integer,
    event_index integer
) PARTITION BY LIST (source);
CREATE TABLE vesu_event_prices PARTITION OF vesu_prices
    (PRIMARY KEY (pool_id, asset_id, block_number, source)) FOR VALUES IN ('event');
INSERT INTO vesu_event_prices SELECT * FROM vesu_event_prices_after;
CREATE INDEX idx_vesu_event_prices_block
    ON vesu_event_prices (block_number, pool_id, asset_id, source);

DO $$
DECLARE
    taken text;
    commented record;
    given record;
BEGIN
    FOREACH taken IN ARRAY ARRAY['vesu_prices', 'vesu_event_prices'] LOOP
        FOR commented IN
            SELECT attname, col_description(attrelid, attnum) AS text
            FROM pg_attribute
            WHERE attrelid = to_regclass(taken || '_after') AND attnum > 0
        LOOP
            EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', taken, commented.attname, commented.text);
        END LOOP;
        FOR given IN
            SELECT x.grantee, x.privilege_type, x.is_grantable
            FROM pg_class c, aclexplode(c.relacl) AS x
            WHERE c.oid = to_regclass(taken || '_after') AND x.grantee <> c.relowner
        LOOP
            EXECUTE format(
                'GRANT %s ON %I TO %s%s', given.privilege_type, taken,
                CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE given.grantee::regrole::text END,
                CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
            );
        END LOOP;
    END LOOP;
END $$;
DROP VIEW vesu_prices_after;
DROP VIEW vesu_event_prices_after;
ALTER TABLE vesu_prices ATTACH PARTITION vesu_sampled_prices FOR VALUES IN ('sample');

COMMENT ON TABLE vesu_prices IS 'What oracles said of assets: told by events of the pool, or sampled from its price view. The newest row up to a block is the price known at it; of one block, the sample, which is taken after the block.';
COMMENT ON TABLE vesu_event_prices IS 'The part of vesu_prices that events told: made again by a replay, inside the digest.';
COMMENT ON TABLE vesu_sampled_prices IS 'The part of vesu_prices that was sampled: beside the log, kept by replays and repairs, with a digest of its own.';
