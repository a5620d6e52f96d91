"""Routes in DefiLlama's words.

Its adapters read numbers: USD to the cent and percent to six digits, written exactly as
JSON numbers; what would not fit a double stays out. Everything else is text, as everywhere.
"""

from __future__ import annotations

import datetime
import decimal

import msgspec

from indexer.api import holdings, overview, routes
from indexer.query import assets, fees, point_in_time, pools

CENT, MICRO = decimal.Decimal("0.01"), decimal.Decimal("0.000001")
DIGITS = 15
"""A double represents every number of this many digits exactly."""

MOST = 2**53
"""A JSON number beyond this would lose digits in JavaScript."""


class LlamaPool(msgspec.Struct, frozen=True, rename="camel"):
    """A pool as DefiLlama's yield server takes it: one per asset of a pool."""

    pool: str
    chain: str
    project: str
    symbol: str
    tvl_usd: msgspec.Raw
    apy_base: msgspec.Raw
    apy_base_borrow: msgspec.Raw
    total_supply_usd: msgspec.Raw
    total_borrow_usd: msgspec.Raw
    available_borrow_usd: msgspec.Raw
    ltv: msgspec.Raw
    underlying_tokens: list[str]
    pool_meta: str | None


class LlamaFees(msgspec.Struct, frozen=True, rename="camel"):
    """A day's fees as DefiLlama's dimension adapters take them, in USD.

    The fees are all interest that borrowers paid; the revenue is the part that went to fees.
    """

    timestamp: int
    daily_fees: msgspec.Raw
    daily_revenue: msgspec.Raw
    daily_supply_side_revenue: msgspec.Raw


async def _llama_pools(question: routes.Question) -> routes.Answer:
    state = await question.state()
    limits = _limits(state.pools)
    found = [_llama(asset, limits) for asset in state.assets if asset.is_listed]
    return routes.Answer(
        [llama_pool for llama_pool in found if llama_pool is not None],
        priced_at=holdings.priced_at(state, None),
    )


def _limits(pools: list[pools.Pool]) -> dict[tuple[str, str], decimal.Decimal]:
    """By pool and collateral, the largest maximum LTV."""
    limits: dict[tuple[str, str], decimal.Decimal] = {}
    for pool in pools:
        key = (pool.pool_id, pool.collateral_address)
        limits[key] = max(limits.get(key, decimal.Decimal(0)), decimal.Decimal(pool.max_ltv))
    return limits


def _llama(asset: assets.Asset, limits: dict[tuple[str, str], decimal.Decimal]) -> LlamaPool | None:
    if asset.total_supply_usd is None or asset.total_borrow_usd is None:
        return None
    if asset.supply_apy is None or asset.borrow_apy is None:
        return None  # the contract itself cannot work them out
    supply, borrow = (
        decimal.Decimal(asset.total_supply_usd),
        decimal.Decimal(asset.total_borrow_usd),
    )
    if supply >= MOST:
        return None
    free = point_in_time.EXACT.subtract(supply, borrow)
    return LlamaPool(
        f"{asset.pool_id}-{asset.asset_address}-starknet",
        "Starknet",
        "vesu" if asset.protocol.startswith("v1") else "vesu-v2",
        asset.symbol or asset.asset_address,
        number(free, CENT),
        _percent(asset.supply_apy),
        _percent(asset.borrow_apy),
        number(supply, CENT),
        number(borrow, CENT),
        number(free, CENT),
        number(limits.get((asset.pool_id, asset.asset_address), decimal.Decimal(0)), MICRO),
        [asset.asset_address],
        asset.pool_name,
    )


def _percent(ratio: str) -> msgspec.Raw:
    value = point_in_time.EXACT.multiply(decimal.Decimal(ratio), decimal.Decimal(100))
    return number(min(value, decimal.Decimal(MOST)), MICRO)


def number(value: decimal.Decimal, step: decimal.Decimal) -> msgspec.Raw:
    """A JSON number, rounded down to a step, without zeros at its end.

    It has at most 15 digits, which a double keeps, and is at most 2^53: above that it says 2^53.
    """
    bounded = min(value, decimal.Decimal(MOST))
    digits = min(-step.adjusted(), DIGITS - 1 - bounded.adjusted()) if bounded else 0
    exact = bounded.quantize(
        decimal.Decimal(1).scaleb(-max(digits, 0)), decimal.ROUND_DOWN, point_in_time.EXACT
    )
    text = format(exact, "f")
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return msgspec.Raw(short.encode())


async def _llama_fees(question: routes.Question) -> routes.Answer:
    now = await question.state()
    since = question.moment.valued_at - datetime.timedelta(days=1)
    then = await overview.state_at(question, since)
    found = await fees.between(question.connection, then, now)
    llama_fees = LlamaFees(
        int(question.moment.valued_at.timestamp()),
        *(
            number(decimal.Decimal(text), CENT)
            for text in (found.interest_usd, found.fees_usd, found.supply_side_usd)
        ),
    )
    return routes.Answer(llama_fees, priced_at=holdings.priced_at(now, None))


ROUTES = (
    routes.Route(
        "/v1/compat/defillama/pools",
        "Pools as DefiLlama's yield server takes them",
        _llama_pools,
        list[LlamaPool],
        "compat",
    ),
    routes.Route(
        "/v1/compat/defillama/fees",
        "The last day's fees as DefiLlama's dimension adapters take them",
        _llama_fees,
        LlamaFees,
        "compat",
        example="at_time=2025-10-02T00:00:00Z",
    ),
)
