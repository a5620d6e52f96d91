-- Positions by what they owe and hold, asset by asset: orders by worth read a page's rows alone.
-- depends: 0031_prices

-- Within an asset, debt and its value are one factor times nominal debt, whatever the price is.
CREATE INDEX idx_vesu_positions_by_debt ON vesu_positions (
    hashtextextended(pool_id || pool_address || debt_address, 0), nominal_debt
) WHERE nominal_debt > 0;
COMMENT ON INDEX idx_vesu_positions_by_debt IS 'The largest debtors of an asset, for orders by debt.';
CREATE INDEX idx_vesu_positions_by_shares ON vesu_positions (
    hashtextextended(pool_id || pool_address || collateral_address, 0),
    (collateral_shares + vtoken_balance_raw)
) WHERE collateral_shares + vtoken_balance_raw > 0;
COMMENT ON INDEX idx_vesu_positions_by_shares IS 'The largest holders of an asset, for orders by collateral.';
