-- Pools that Vesu is known by count in sums; prices that an oracle calls invalid show in positions.
-- depends: 0028_observations_confirmed

CREATE TABLE listed_pools (
    pool_id text NOT NULL,
    name text,
    origin text NOT NULL,
    PRIMARY KEY (pool_id)
);
COMMENT ON TABLE listed_pools IS 'Pools that sums, portfolios and boards count. No row: every pool is listed.';
COMMENT ON COLUMN listed_pools.pool_id IS 'Pool id, of V2 the pool''s address, 0x and 64 hex digits.';
COMMENT ON COLUMN listed_pools.name IS 'Name in the list; NULL: none is known.';
COMMENT ON COLUMN listed_pools.origin IS 'package: the list that the release brings; configuration: trust.pools names it.';

ALTER TABLE vesu_pools ADD COLUMN is_listed boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN vesu_pools.is_listed IS 'Whether listed_pools names the pool, so that sums count it; anyone may create a pool.';
ALTER TABLE vesu_assets ADD COLUMN is_listed boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN vesu_assets.is_listed IS 'Whether listed_pools names the pool, so that sums count it; anyone may create a pool.';
ALTER TABLE vesu_positions
    ADD COLUMN is_listed boolean NOT NULL DEFAULT true,
    ADD COLUMN has_invalid_price boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN vesu_positions.is_listed IS 'Whether listed_pools names the pool, so that sums count it; anyone may create a pool.';
COMMENT ON COLUMN vesu_positions.has_invalid_price IS 'Whether the oracle called a price invalid that the values rest on: the collateral''s or the debt''s.';

-- Values of the last valuation; the next one makes it exact where a price changed since.
UPDATE vesu_positions p
SET has_invalid_price = true
WHERE p.status = 'active' AND EXISTS (
    SELECT FROM vesu_assets a
    WHERE a.pool_id = p.pool_id AND (
            (a.asset_address = p.collateral_address
                AND p.collateral_shares + p.vtoken_balance_raw > 0)
            OR (a.asset_address = p.debt_address AND p.nominal_debt > 0)
        )
        AND NOT a.price_is_valid
        AND a.pool_address = coalesce(
            (SELECT c.successor FROM contracts c
             WHERE c.kind = 'pool_v1_0' AND c.pool_id = p.pool_id
                 AND c.pool_address = p.pool_address),
            p.pool_address
        )
);
