"""Prices as the sampler stores them, without asking a node."""

from __future__ import annotations

from collections.abc import Mapping

from indexer.projections import rows
from indexer.store import database

ONE = 10**18

_SAMPLED = """
WITH sampling AS (
    INSERT INTO price_samplings
        (number, step_seconds, grid_time, previous_time, block_number, block_hash, asked, answered)
    VALUES (1, 60, 0, 0, $2, $1, 0, 0)
    RETURNING number
)
INSERT INTO vesu_sampled_prices
    (pool_id, asset_id, pool_address, protocol, asset_address, block_number, block_hash, timestamp,
     price, is_valid, source, sampling)
SELECT pool_id, id, pool_address, protocol, asset_address, $2, $1, changed_at,
    COALESCE(told.price, 10^18), true, 'sample', (SELECT number FROM sampling)
FROM vesu_assets
LEFT JOIN unnest($3::text[], $4::numeric[]) AS told (asset_address, price) USING (asset_address)
"""


async def sampled(url: str, block: int, prices: Mapping[int, int] | None = None) -> None:
    """A price x 10^18 of every asset, sampled at a block; of those without one here, one."""
    prices = prices or {}
    addresses = [rows.padded(asset) for asset in prices]
    async with database.session(url) as connection:
        await connection.execute(
            _SAMPLED, f"0x{block:064x}", block, addresses, list(prices.values())
        )
