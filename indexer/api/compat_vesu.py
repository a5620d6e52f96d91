"""Routes in the shape of the protocol's own API (api.vesu.xyz), for what the tables hold.

Pools and markets are the listed ones; `is_listed=false` asks for the others.
Numbers are `{value, decimals}`, the value an integer in text. Addresses and pool ids are 0x and 64
hex digits, as everywhere here.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from indexer.api import holdings, queries, routes
from indexer.query import (
    assets,
    filters,
    kinds,
    listing,
    point_in_time,
    pools,
    position_pages,
    rates,
    records,
    states,
)


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


class VesuMarket(VesuAsset, frozen=True, rename="camel"):
    """A market in that API's shape: an asset, with the pool that it belongs to."""

    pool: dict[str, str | None]


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
    is_listed: bool
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
    ltv: dict[str, Number | None]
    health_factor: Number | None
    collateral_shares: Number
    nominal_debt: Number | None


class VesuEffect(msgspec.Struct, frozen=True, rename="camel"):
    """What a transaction did to a user's position; the amount is positive."""

    tx_hash: kinds.Felt
    timestamp: datetime.datetime
    block_number: kinds.Block
    type: str
    position_id: kinds.Id
    pool: dict[str, str | None]
    asset: dict[str, str | None]
    amount: Number


async def _vesu_pools(question: routes.Question) -> routes.Answer:
    state = await question.state()
    shown = _shown(question, state)
    oldest = holdings.priced_at(state, {asset.pool_id for asset in shown})
    return routes.Answer(_vesu(state, shown), priced_at=oldest)


def _shown(question: routes.Question, state: states.State) -> list[assets.Asset]:
    """The assets of listed pools, or of the unlisted ones where the question asks for them."""
    is_listed = question.get("is_listed", default=True)
    return [asset for asset in state.assets if asset.is_listed == is_listed]


def _vesu(state: states.State, shown: Sequence[assets.Asset]) -> list[VesuPool]:
    found: dict[tuple[str, str], VesuPool] = {}
    for asset in shown:
        key = (asset.pool_id, asset.protocol)
        if key not in found:
            names = (asset.pool_id, asset.pool_name, asset.protocol, asset.pool_address)
            found[key] = VesuPool(*names, asset.is_listed, [], [])
        found[key].assets.append(_vesu_asset(asset, rates.borrow_apr(state, asset)))
    for pair in state.pools:
        if (pair.pool_id, pair.protocol) in found:
            found[pair.pool_id, pair.protocol].pairs.append(_vesu_pair(pair))
    return list(found.values())


def _vesu_asset(asset: assets.Asset, borrow_apr: int) -> VesuAsset:
    units = asset.decimals or 0
    return VesuAsset(
        asset.asset_address,
        asset.name,
        asset.symbol,
        asset.decimals,
        {"address": asset.v_token},
        None if asset.price is None else Number(asset.price, 18),
        {
            "reserve": Number(asset.reserve, units),
            "totalCollateralShares": Number(asset.total_collateral_shares, 18),
            "totalNominalDebt": Number(asset.total_nominal_debt, 18),
            "maxUtilization": Number(asset.max_utilization, 18),
            "debtFloor": Number(asset.floor, 18),
            "feeRate": Number(asset.fee_rate, 18),
            "lastRateAccumulator": Number(asset.last_rate_accumulator, 18),
        },
        {
            "totalSupplied": Number(asset.total_supply_raw, units),
            "totalDebt": Number(asset.total_borrow_raw, units),
            "currentUtilization": _eighteen(asset.utilization),
            "supplyApy": _eighteen_or_none(asset.supply_apy),
            "borrowApr": Number(str(borrow_apr), 18),
        },
    )


async def _vesu_markets(question: routes.Question) -> routes.Answer:
    state = await question.state()
    shown = _shown(question, state)
    vesu_markets = [
        VesuMarket(
            **msgspec.structs.asdict(_vesu_asset(asset, rates.borrow_apr(state, asset))),
            pool={
                "id": asset.pool_id,
                "name": asset.pool_name,
                "protocolVersion": asset.protocol,
                "address": asset.pool_address,
            },
        )
        for asset in shown
    ]
    oldest = holdings.priced_at(state, {asset.pool_id for asset in shown})
    return routes.Answer(vesu_markets, priced_at=oldest)


def _vesu_pair(pool: pools.Pool) -> VesuPair:
    return VesuPair(
        pool.collateral_address,
        pool.debt_address,
        Number(pool.max_ltv_raw, 18),
        Number(pool.liquidation_factor_raw, 18),
        Number(pool.debt_cap_raw, 0),
        Number(pool.pair_collateral_shares, 18),
        Number(pool.pair_nominal_debt, 18),
    )


def _eighteen(ratio: str) -> Number:
    """A ratio with exactly 18 digits after the point."""
    whole = point_in_time.EXACT.scaleb(decimal.Decimal(ratio), 18)
    return Number(format(whole.to_integral_value(decimal.ROUND_DOWN), "f"), 18)


def _eighteen_or_none(ratio: str | None) -> Number | None:
    return None if ratio is None else _eighteen(ratio)


async def _vesu_positions(question: routes.Question) -> routes.Answer:
    conditions = [filters.Condition("user_id", "=", (question.get("walletAddress"),))]
    if "type" in question.query_values:
        conditions.append(filters.Condition("kind", "=", (question.get("type"),)))
    if "maxHealthFactor" in question.query_values:
        most = question.get("maxHealthFactor")
        conditions.append(filters.Condition("health_factor", "<=", (most,)))
    state = await question.state()
    page_query = filters.PageQuery((*conditions, ACTIVE), None, filters.MAX_LIMIT)
    page = await question.shared.positions.page(
        question.connection, state, question.database_state, page_query
    )
    oldest = holdings.priced_at(state, {position.pool_id for position in page.rows})
    return routes.Answer(
        [_vesu_position(position, state) for position in page.rows], priced_at=oldest
    )


ACTIVE = filters.Condition("status", "=", ("active",))


def _vesu_position(position: position_pages.Position, state: states.State) -> VesuPosition:
    known = {(asset.pool_id, asset.asset_address): asset for asset in state.assets}
    limits = {
        (pair.pool_id, pair.protocol, pair.collateral_address, pair.debt_address): pair.max_ltv_raw
        for pair in state.pools
    }
    pair = (
        position.pool_id,
        position.protocol,
        position.collateral_address,
        position.debt_address or "",
    )

    def side(name: str) -> dict[str, Any]:
        address = getattr(position, f"{name}_address")
        usd = getattr(position, f"{name}_value_usd")
        asset = known.get((position.pool_id, address))
        return {
            "address": address,
            "name": None if asset is None else asset.name,
            "symbol": getattr(position, f"{name}_asset"),
            "value": getattr(position, f"{name}_raw"),
            "decimals": 0 if asset is None else asset.decimals or 0,
            "usdPrice": None if usd is None else _eighteen(usd),
        }

    return VesuPosition(
        position.id,
        position.kind,
        position.user_id,
        {"id": position.pool_id, "name": position.pool_name},
        side("collateral"),
        None if position.debt_address is None else side("debt"),
        {
            "max": Number(limits[pair], 18) if pair in limits else None,
            "current": _eighteen_or_none(position.ltv),
        },
        _eighteen_or_none(position.health_factor),
        Number(position.collateral_shares, 18),
        None if position.debt_address is None else Number(position.nominal_debt, 18),
    )


async def _vesu_history(question: routes.Question) -> routes.Answer:
    """A user's effects, newest first, page by page."""
    state, page_query = await question.state(), question.page_query
    mine = filters.Condition("user_id", "=", (question.path["user"],))
    user_query = filters.PageQuery((mine,), page_query.order, page_query.limit, page_query.after)
    page = await listing.page(
        question.connection, records.TRANSACTIONS, question.moment.block_number, user_query
    )
    names = {asset.pool_id: asset.pool_name for asset in state.assets}
    return routes.Answer([_vesu_effect(transaction, names) for transaction in page.rows], page.next)


def _vesu_effect(transaction: records.Transaction, names: Mapping[str, str | None]) -> VesuEffect:
    # Of a vToken's transfer the asset is the vToken; an amount has as many places as its token.
    decimals = len(transaction.amount.partition(".")[2])
    return VesuEffect(
        transaction.transaction_hash,
        transaction.timestamp,
        transaction.block_number,
        transaction.type,
        transaction.position_id,
        {"id": transaction.pool_id, "name": names.get(transaction.pool_id)},
        {"address": transaction.asset_address, "symbol": transaction.asset},
        Number(transaction.amount_raw.lstrip("-"), decimals),
    )


WALLET = queries.Parameter("walletAddress", "felt", "Wallet.", "0x1", is_required=True)
TYPE = queries.Parameter("type", "text", "Kind of position.", "earn", values=("earn", "borrow"))
LISTED = queries.Parameter(
    "is_listed", "boolean", "Of listed pools (true, the default), or of the others.", "false"
)
HEALTH = queries.Parameter("maxHealthFactor", "decimal", "Health at most.", "1.1")

ROUTES = (
    routes.Route(
        "/v1/compat/vesu/pools",
        "Pools in the shape of the protocol's own API: the listed ones",
        _vesu_pools,
        list[VesuPool],
        "compat",
        parameters=(LISTED,),
    ),
    routes.Route(
        "/v1/compat/vesu/markets",
        "Markets in the shape of the protocol's own API: every asset of every listed pool",
        _vesu_markets,
        list[VesuMarket],
        "compat",
        parameters=(LISTED,),
    ),
    routes.Route(
        "/v1/compat/vesu/users/{user}/history",
        "What a user did, in the shape of the protocol's own API",
        _vesu_history,
        list[VesuEffect],
        "compat",
        parts=(holdings.USER,),
        orders=records.TRANSACTIONS.allowed,
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
