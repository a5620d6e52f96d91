ALTER TABLE vesu_asset_history
    DROP COLUMN rates_confirmed_block,
    DROP COLUMN rate_model_block;
ALTER TABLE vesu_assets
    DROP COLUMN rates_confirmed_block,
    DROP COLUMN rate_model_block;
