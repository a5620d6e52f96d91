-- What events told of prices is read from the histories of assets, which hold it; no second copy is kept.
-- depends: 0035_packed_log

ALTER TABLE vesu_prices DETACH PARTITION vesu_sampled_prices;
ALTER TABLE vesu_prices RENAME TO vesu_prices_before;
ALTER TABLE vesu_event_prices RENAME TO vesu_event_prices_before;

CREATE VIEW vesu_event_prices AS
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
CREATE VIEW vesu_prices AS
SELECT * FROM vesu_event_prices
UNION ALL
SELECT * FROM vesu_sampled_prices;

-- The views take over comments and rights.
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
            WHERE attrelid = to_regclass(taken || '_before') AND attnum > 0 AND NOT attisdropped
        LOOP
            EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', taken, commented.attname, commented.text);
        END LOOP;
        FOR given IN
            SELECT x.grantee, x.privilege_type, x.is_grantable
            FROM pg_class c, aclexplode(c.relacl) AS x
            WHERE c.oid = to_regclass(taken || '_before') AND x.grantee <> c.relowner
        LOOP
            EXECUTE format(
                'GRANT %s ON %I TO %s%s', given.privilege_type, taken,
                CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE given.grantee::regrole::text END,
                CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
            );
        END LOOP;
    END LOOP;
END $$;
DROP TABLE vesu_prices_before;

COMMENT ON VIEW vesu_prices IS 'What oracles said of assets: told by events of the pool (vesu_event_prices), or sampled from its price view (vesu_sampled_prices). The newest row up to a block is the price known at it; of one block, the sample, which is taken after the block.';
COMMENT ON VIEW vesu_event_prices IS 'What events told of prices: of each block and asset the last, from vesu_asset_history.';
COMMENT ON TABLE vesu_sampled_prices IS 'What was sampled of prices: beside the log, kept by replays and repairs, with a digest of its own.';
