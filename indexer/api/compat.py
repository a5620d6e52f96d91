"""Routes in other services' words: DefiLlama's adapters, and the protocol's own API.

DefiLlama's adapters read numbers: USD to the cent and percent to six digits, written exactly as
JSON numbers; what would not fit a double stays out. Everything else is text, as everywhere.
"""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import msgspec

from indexer.api import holdings, overview, queries, routes
from indexer.query import assets, fees, filters, point_in_time, pools, rates, states

CENT, MICRO = decimal.Decimal("0.01"), decimal.Decimal("0.000001")
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


class Number(msgspec.Struct, frozen=True):
    """A number as the protocol's own API writes it: an integer in text, and its decimals."""

    value: str
    decimals: int


class VesuAsset(msgspec.Struct, frozen=True, rename="camel"):
    """An asset of a pool in that API's shape."""

    address: str
    name: str | None
    symbol: str | None
    decimals: int | None
    v_token: dict[str, str | None]
    usd_price: Number | None
    config: dict[str, Number]
    stats: dict[str, Number | None]


class VesuPair(msgspec.Struct, frozen=True, rename={"max_ltv": "maxLTV"}):
    """A pair of a pool in that API's shape."""

    collateralAssetAddress: str  # noqa: N815 - the name on the wire
    debtAssetAddress: str  # noqa: N815
    max_ltv: Number
    liquidationFactor: Number  # noqa: N815
    debtCap: Number  # noqa: N815
    totalCollateralShares: Number  # noqa: N815
    totalNominalDebt: Number  # noqa: N815


class VesuPool(msgspec.Struct, frozen=True, rename="camel"):
    """A pool in that API's shape."""

    id: str
    name: str | None
    protocol_version: str
    address: str
    assets: list[VesuAsset]
    pairs: list[VesuPair]


class VesuPosition(msgspec.Struct, frozen=True, rename="camel"):
    """A position in that API's shape."""

    id: str
    type: str
    wallet_address: str
    pool: dict[str, str | None]
    collateral: dict[str, Any]
    debt: dict[str, Any] | None
    ltv: Number | None
    health_factor: Number | None


# --- DefiLlama --------------------------------------------------------------------------------


async def _llama_pools(question: routes.Question) -> routes.Answer:
    state = await question.state()
    limits = _limits(state.pools)
    found = [_llama(one, limits) for one in state.assets]
    return routes.Answer(
        [one for one in found if one is not None],
        price_block=holdings.price_block(state, None),
    )


def _limits(found: list[pools.Pool]) -> dict[tuple[str, str], decimal.Decimal]:
    """By pool and collateral, the largest maximum LTV."""
    limits: dict[tuple[str, str], decimal.Decimal] = {}
    for one in found:
        key = (one.pool_id, one.collateral_address)
        limits[key] = max(limits.get(key, decimal.Decimal(0)), decimal.Decimal(one.max_ltv))
    return limits


def _llama(one: assets.Asset, limits: dict[tuple[str, str], decimal.Decimal]) -> LlamaPool | None:
    if one.total_supply_usd is None or one.total_borrow_usd is None:
        return None
    if one.supply_apy is None or one.borrow_apy is None:
        return None  # the contract itself cannot work them out
    supply, borrow = decimal.Decimal(one.total_supply_usd), decimal.Decimal(one.total_borrow_usd)
    if supply >= MOST:
        return None
    free = point_in_time.EXACT.subtract(supply, borrow)
    return LlamaPool(
        f"{one.pool_id}-{one.asset_address}-starknet",
        "Starknet",
        "vesu" if one.protocol.startswith("v1") else "vesu-v2",
        one.symbol or one.asset_address,
        _number(free, CENT),
        _percent(one.supply_apy),
        _percent(one.borrow_apy),
        _number(supply, CENT),
        _number(borrow, CENT),
        _number(free, CENT),
        _number(limits.get((one.pool_id, one.asset_address), decimal.Decimal(0)), MICRO),
        [one.asset_address],
        one.pool_name,
    )


def _percent(ratio: str) -> msgspec.Raw:
    value = point_in_time.EXACT.multiply(decimal.Decimal(ratio), decimal.Decimal(100))
    return _number(min(value, decimal.Decimal(MOST)), MICRO)


def _number(value: decimal.Decimal, step: decimal.Decimal) -> msgspec.Raw:
    """A JSON number, rounded down to a step, without zeros at its end."""
    text = format(value.quantize(step, decimal.ROUND_DOWN, point_in_time.EXACT), "f")
    short = text.rstrip("0").rstrip(".")
    return msgspec.Raw(short.encode() or b"0")


async def _llama_fees(question: routes.Question) -> routes.Answer:
    now = await question.state()
    since = question.moment.valued_at - datetime.timedelta(days=1)
    then = await overview.state_at(question, since)
    found = await fees.between(question.connection, then, now)
    said = LlamaFees(
        int(question.moment.valued_at.timestamp()),
        *(
            _number(decimal.Decimal(text), CENT)
            for text in (found.interest_usd, found.fees_usd, found.supply_side_usd)
        ),
    )
    return routes.Answer(said, price_block=holdings.price_block(now, None))


# --- the protocol's own API -------------------------------------------------------------------


async def _vesu_pools(question: routes.Question) -> routes.Answer:
    state = await question.state()
    return routes.Answer(_vesu(state), price_block=holdings.price_block(state, None))


def _vesu(state: states.State) -> list[VesuPool]:
    found: dict[tuple[str, str], VesuPool] = {}
    for one in state.assets:
        key = (one.pool_id, one.protocol)
        if key not in found:
            found[key] = VesuPool(
                *(one.pool_id, one.pool_name, one.protocol, one.pool_address), [], []
            )
        found[key].assets.append(_vesu_asset(one, rates.borrow_apr(state, one)))
    for pair in state.pools:
        if (pair.pool_id, pair.protocol) in found:
            found[pair.pool_id, pair.protocol].pairs.append(_vesu_pair(pair))
    return list(found.values())


def _vesu_asset(one: assets.Asset, borrow_apr: int) -> VesuAsset:
    units = one.decimals or 0
    return VesuAsset(
        one.asset_address,
        one.name,
        one.symbol,
        one.decimals,
        {"address": one.v_token},
        None if one.price is None else Number(one.price, 18),
        {
            "reserve": Number(one.reserve, units),
            "totalCollateralShares": Number(one.total_collateral_shares, 18),
            "totalNominalDebt": Number(one.total_nominal_debt, 18),
            "maxUtilization": Number(one.max_utilization, 18),
            "debtFloor": Number(one.floor, 18),
            "feeRate": Number(one.fee_rate, 18),
            "lastRateAccumulator": Number(one.last_rate_accumulator, 18),
        },
        {
            "totalSupplied": Number(one.total_supply_raw, units),
            "totalDebt": Number(one.total_borrow_raw, units),
            "currentUtilization": _eighteen(one.utilization),
            "supplyApy": _eighteen_or_none(one.supply_apy),
            "borrowApr": Number(str(borrow_apr), 18),
        },
    )


def _vesu_pair(one: pools.Pool) -> VesuPair:
    return VesuPair(
        one.collateral_address,
        one.debt_address,
        Number(one.max_ltv_raw, 18),
        Number(one.liquidation_factor_raw, 18),
        Number(one.debt_cap_raw, 0),
        Number(one.pair_collateral_shares, 18),
        Number(one.pair_nominal_debt, 18),
    )


def _eighteen(ratio: str) -> Number:
    """A ratio, which has exactly 18 digits behind the point."""
    whole = point_in_time.EXACT.scaleb(decimal.Decimal(ratio), 18)
    return Number(format(whole.to_integral_value(decimal.ROUND_DOWN), "f"), 18)


def _eighteen_or_none(ratio: str | None) -> Number | None:
    return None if ratio is None else _eighteen(ratio)


async def _vesu_positions(question: routes.Question) -> routes.Answer:
    conditions = [filters.Condition("user_id", "=", (question.get("walletAddress"),))]
    if "type" in question.said:
        conditions.append(filters.Condition("kind", "=", (question.get("type"),)))
    if "maxHealthFactor" in question.said:
        most = question.get("maxHealthFactor")
        conditions.append(filters.Condition("health_factor", "<=", (most,)))
    state = await question.state()
    wanted = filters.Wanted((*conditions, ACTIVE), None, filters.MAX_LIMIT)
    found = await question.shared.positions.page(
        question.connection, state, question.stands, wanted
    )
    oldest = holdings.price_block(state, {one.pool_id for one in found.rows})
    return routes.Answer([_vesu_position(one, state) for one in found.rows], price_block=oldest)


ACTIVE = filters.Condition("status", "=", ("active",))


def _vesu_position(one: Any, state: states.State) -> VesuPosition:
    decimals = {(asset.pool_id, asset.asset_address): asset.decimals or 0 for asset in state.assets}

    def side(name: str) -> dict[str, Any]:
        address = getattr(one, f"{name}_address")
        usd = getattr(one, f"{name}_value_usd")
        return {
            "address": address,
            "symbol": getattr(one, f"{name}_asset"),
            "value": getattr(one, f"{name}_raw"),
            "decimals": decimals.get((one.pool_id, address), 0),
            "usdPrice": None if usd is None else _eighteen(usd),
        }

    return VesuPosition(
        one.id,
        one.kind,
        one.user_id,
        {"id": one.pool_id, "name": one.pool_name},
        side("collateral"),
        None if one.debt_address is None else side("debt"),
        None if one.ltv is None else _eighteen(one.ltv),
        None if one.health_factor is None else _eighteen(one.health_factor),
    )


WALLET = queries.Parameter("walletAddress", "felt", "Wallet.", "0x1", is_required=True)
TYPE = queries.Parameter("type", "text", "Kind of position.", "earn", values=("earn", "borrow"))
HEALTH = queries.Parameter("maxHealthFactor", "decimal", "Health at most.", "1.1")

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
    routes.Route(
        "/v1/compat/vesu/pools",
        "Pools in the shape of the protocol's own API",
        _vesu_pools,
        list[VesuPool],
        "compat",
    ),
    routes.Route(
        "/v1/compat/vesu/positions",
        "A wallet's positions in the shape of the protocol's own API",
        _vesu_positions,
        list[VesuPosition],
        "compat",
        parameters=(WALLET, TYPE, HEALTH),
    ),
)
