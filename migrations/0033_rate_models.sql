-- From when on a rate model is sure: V1's change without an event.
-- depends: 0032_by_worth
ALTER TABLE vesu_assets
    ADD COLUMN rate_model_block bigint,
    ADD COLUMN rates_confirmed_block bigint;
ALTER TABLE vesu_asset_history
    ADD COLUMN rate_model_block bigint,
    ADD COLUMN rates_confirmed_block bigint;
COMMENT ON COLUMN vesu_assets.rate_model_block IS 'From the end of this block on the rate model is sure: an event or a view told it there. NULL: none is known, or what the chain told contradicts it.';
COMMENT ON COLUMN vesu_assets.rates_confirmed_block IS 'The last block in which an event or view told the rate model, or an accrual had its rates. After it V1''s may have changed without an event. NULL: none is known.';
COMMENT ON COLUMN vesu_asset_history.rate_model_block IS 'From the end of this block on the rate model is sure: an event or a view told it there. NULL: none is known, or what the chain told contradicts it.';
COMMENT ON COLUMN vesu_asset_history.rates_confirmed_block IS 'The last block in which an event or view told the rate model, or an accrual had its rates. After it V1''s may have changed without an event. NULL: none is known.';
