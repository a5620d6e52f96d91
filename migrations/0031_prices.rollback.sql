ALTER TABLE vesu_positions
    DROP COLUMN sampling,
    DROP COLUMN price_timestamp,
    DROP COLUMN price_block;
ALTER TABLE vesu_assets
    DROP COLUMN event_price_timestamp,
    DROP COLUMN event_price_block,
    DROP COLUMN event_price_is_valid,
    DROP COLUMN event_price,
    DROP COLUMN price_timestamp;
ALTER TABLE vesu_asset_history DROP COLUMN price_timestamp;
DROP TABLE price_samplings;
DROP TABLE vesu_prices;
