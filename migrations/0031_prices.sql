-- Prices beside the log: what events told and what was sampled, in one table; samples leave the fold.
-- depends: 0030_contract_classes

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
-- Keys and indexes are the parts' own: a restore over a filled database cannot drop one that a
-- part has of the whole.
CREATE TABLE vesu_event_prices PARTITION OF vesu_prices
    (PRIMARY KEY (pool_id, asset_id, block_number, source)) FOR VALUES IN ('event');
CREATE TABLE vesu_sampled_prices PARTITION OF vesu_prices
    (PRIMARY KEY (pool_id, asset_id, block_number, source)) FOR VALUES IN ('sample');

-- The newest of all assets, page by page, and what a rollback takes out.
CREATE INDEX idx_vesu_event_prices_block
    ON vesu_event_prices (block_number, pool_id, asset_id, source);
CREATE INDEX idx_vesu_sampled_prices_block
    ON vesu_sampled_prices (block_number, pool_id, asset_id, source);
-- The newest price that was told, past however many refusals.
CREATE INDEX idx_vesu_sampled_prices_known ON vesu_sampled_prices (pool_id, asset_id, block_number)
    WHERE price IS NOT NULL;

CREATE TABLE price_samplings (
    number bigint PRIMARY KEY,
    step_seconds bigint NOT NULL,
    grid_time bigint NOT NULL,
    previous_time bigint NOT NULL,
    block_number bigint NOT NULL,
    block_hash text NOT NULL,
    asked integer NOT NULL,
    answered integer NOT NULL,
    is_checked boolean NOT NULL DEFAULT true,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX idx_price_samplings_grid ON price_samplings (step_seconds, grid_time);
CREATE INDEX idx_price_samplings_block ON price_samplings (block_number);
CREATE INDEX idx_price_samplings_unchecked ON price_samplings (block_number) WHERE NOT is_checked;

ALTER TABLE vesu_asset_history ADD COLUMN price_timestamp timestamptz;
ALTER TABLE vesu_assets
    ADD COLUMN price_timestamp timestamptz,
    ADD COLUMN event_price numeric(78, 0),
    ADD COLUMN event_price_is_valid boolean,
    ADD COLUMN event_price_block bigint,
    ADD COLUMN event_price_timestamp timestamptz;
ALTER TABLE vesu_positions
    ADD COLUMN price_block bigint,
    ADD COLUMN price_timestamp timestamptz,
    ADD COLUMN sampling bigint NOT NULL DEFAULT 0;

-- What earlier versions sampled stands in the histories; a replay takes it out of them.
INSERT INTO vesu_sampled_prices
    (pool_id, asset_id, pool_address, protocol, asset_address, block_number, block_hash, timestamp,
     price, is_valid, source, sampling)
SELECT h.pool_id, h.id, h.pool_address, h.protocol, h.asset_address, h.block_number, b.hash,
    b.timestamp, CASE WHEN h.price_block = h.block_number THEN h.price END, h.price_is_valid,
    'sample', 0
FROM vesu_asset_history h
JOIN blocks b ON b.number = h.block_number
WHERE h.transaction_index = 2147483647
    AND (h.price_block = h.block_number OR NOT h.price_is_valid)
ON CONFLICT DO NOTHING;
DELETE FROM observations WHERE view = 'price';

COMMENT ON TABLE vesu_prices IS 'What oracles said of assets: told by events of the pool, or sampled from its price view. The newest row up to a block is the price known at it; of one block, the sample, which is taken after the block.';
COMMENT ON COLUMN vesu_prices.pool_id IS 'The pool, as in vesu_assets.';
COMMENT ON COLUMN vesu_prices.asset_id IS 'The asset: vesu_assets.id.';
COMMENT ON COLUMN vesu_prices.pool_address IS 'The contract that holds the pool, as in vesu_assets.';
COMMENT ON COLUMN vesu_prices.protocol IS 'The protocol''s generation, as in vesu_assets.';
COMMENT ON COLUMN vesu_prices.asset_address IS 'Address of the token.';
COMMENT ON COLUMN vesu_prices.block_number IS 'The block: of the event, or at whose end the view was asked.';
COMMENT ON COLUMN vesu_prices.block_hash IS 'Hash of that block.';
COMMENT ON COLUMN vesu_prices.timestamp IS 'Time of that block.';
COMMENT ON COLUMN vesu_prices.price IS 'USD x 10^18, as the contract uses it. NULL: the oracle told none.';
COMMENT ON COLUMN vesu_prices.is_valid IS 'Whether the oracle calls the price valid; false where it told none.';
COMMENT ON COLUMN vesu_prices.source IS 'event: the last that an event of the block told; sample: the price view, asked at the block''s hash.';
COMMENT ON COLUMN vesu_prices.sampling IS 'Of a sample: the sampling that stored it (price_samplings.number; 0: a version before 0031). NULL: an event''s.';
COMMENT ON COLUMN vesu_prices.rate_model IS 'Of a sample of Vesu V1: the eight values of the extension''s interest_rate_config at the block. NULL: not asked, or refused.';
COMMENT ON COLUMN vesu_prices.transaction_index IS 'Of an event''s price: position of its transaction in the block. NULL: a sample.';
COMMENT ON COLUMN vesu_prices.event_index IS 'Of an event''s price: position of the event among those of its transaction. NULL: a sample.';
COMMENT ON TABLE vesu_event_prices IS 'The part of vesu_prices that events told: made again by a replay, inside the digest.';
COMMENT ON TABLE vesu_sampled_prices IS 'The part of vesu_prices that was sampled: beside the log, kept by replays and repairs, with a digest of its own.';
DO $$
DECLARE
    part text;
    commented record;
BEGIN
    FOREACH part IN ARRAY ARRAY['vesu_event_prices', 'vesu_sampled_prices'] LOOP
        FOR commented IN
            SELECT attname, col_description(attrelid, attnum) AS text
            FROM pg_attribute
            WHERE attrelid = 'vesu_prices'::regclass AND attnum > 0 AND NOT attisdropped
        LOOP
            EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', part, commented.attname, commented.text);
        END LOOP;
    END LOOP;
END $$;
COMMENT ON TABLE price_samplings IS 'Which points of the grid of chain time were sampled: a row for each storing of answers.';
COMMENT ON COLUMN price_samplings.number IS 'Counts up with each storing of samples.';
COMMENT ON COLUMN price_samplings.step_seconds IS 'The grid: multiples of so many seconds since 1970.';
COMMENT ON COLUMN price_samplings.grid_time IS 'The last multiple at or before the block''s time, in seconds since 1970; the block is the first one at or after it.';
COMMENT ON COLUMN price_samplings.previous_time IS 'Time of the block before, in seconds since 1970: all multiples after it and up to grid_time are sampled by this block.';
COMMENT ON COLUMN price_samplings.block_number IS 'The block that was sampled.';
COMMENT ON COLUMN price_samplings.block_hash IS 'Its hash, at which the views were asked.';
COMMENT ON COLUMN price_samplings.asked IS 'How many answers were wanted.';
COMMENT ON COLUMN price_samplings.answered IS 'How many of them the node gave; a refusal is an answer.';
COMMENT ON COLUMN price_samplings.is_checked IS 'False after a repair took the block back, until the sampler found it on the chain again.';
COMMENT ON COLUMN price_samplings.stored_at IS 'Wall-clock time of the storing.';
COMMENT ON COLUMN vesu_asset_history.price IS 'The last price that an event told, in USD x 10^18. NULL: none yet.';
COMMENT ON COLUMN vesu_asset_history.price_is_valid IS 'Whether the oracle called that price valid. NULL: none yet.';
COMMENT ON COLUMN vesu_asset_history.price_block IS 'The block of the event that told it. NULL: none yet.';
COMMENT ON COLUMN vesu_asset_history.price_timestamp IS 'Time of that block. NULL: none yet.';
COMMENT ON COLUMN vesu_assets.price IS 'The newest price known, told by an event or sampled, in USD x 10^18. NULL: none yet.';
COMMENT ON COLUMN vesu_assets.price_is_valid IS 'Whether the oracle calls it valid; false also where the newest sample was refused. NULL: no price yet.';
COMMENT ON COLUMN vesu_assets.price_block IS 'The block that the price is of. NULL: no price yet.';
COMMENT ON COLUMN vesu_assets.price_timestamp IS 'Time of that block: how old the price is. NULL: no price yet.';
COMMENT ON COLUMN vesu_assets.event_price IS 'The last price that an event told, part of the folded state. NULL: none yet.';
COMMENT ON COLUMN vesu_assets.event_price_is_valid IS 'Whether the oracle called that price valid. NULL: none yet.';
COMMENT ON COLUMN vesu_assets.event_price_block IS 'The block of the event that told it. NULL: none yet.';
COMMENT ON COLUMN vesu_assets.event_price_timestamp IS 'Time of that block. NULL: none yet.';
COMMENT ON COLUMN vesu_positions.price_block IS 'Block of the older of the prices that the row''s values rest on. NULL: they rest on none.';
COMMENT ON COLUMN vesu_positions.price_timestamp IS 'Time of that block: valued_at less this is the age of the prices. NULL: they rest on none.';
COMMENT ON COLUMN vesu_positions.sampling IS 'The newest sampling (price_samplings.number) whose prices the valuation knew.';
