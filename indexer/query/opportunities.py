"""Finds positions that may be liquidated, now, at a past block or at other prices, and amounts."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.projections import positions as position_rows
from indexer.projections import rows
from indexer.query import markets, near, point_in_time, unknown_state
from indexer.store import sqlfile
from indexer.vesu import accrual, calls, liquidation, market, maths, quotes, state

Connection = markets.Connection
_SQL = sqlfile.load(__package__, "opportunities")

ROUNDED = decimal.Decimal("1.001")
"""Rounding moves a health by less than this."""

MOST_CANDIDATES = 50_000
"""Where more may be endangered, every position that owes something is looked at."""

MARGIN_SECONDS = 600
"""A full repayment offers what will be owed so much later: the contract takes what is owed."""


class Terms(msgspec.Struct, frozen=True):
    """The costs and limits that a liquidator calculates with.

    `gas_usd` for the transaction; `slippage`, the part of the seized value that selling it loses
    (0.01: one percent); `capital_usd`, the most that one liquidation may cost (None: no limit);
    `min_profit_usd`, the least net profit of what is listed (None: losses, too).
    """

    gas_usd: decimal.Decimal = decimal.Decimal(0)
    slippage: decimal.Decimal = decimal.Decimal(0)
    capital_usd: decimal.Decimal | None = None
    min_profit_usd: decimal.Decimal | None = None

    def check(self) -> None:
        """QuestionError for costs below 0 and a slippage above 1."""
        for name in ("gas_usd", "capital_usd"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise errors.QuestionError(f"{name} is {value}: below 0", parameter=name)
        if not 0 <= self.slippage <= 1:
            raise errors.QuestionError(
                f"slippage is {self.slippage}: between 0 and 1 is possible", parameter="slippage"
            )

    @property
    def costs(self) -> liquidation.Costs:
        """The same scaled by 10^18."""
        return liquidation.Costs(_scaled(self.gas_usd), _scaled(self.slippage))


FREE = Terms()
"""No costs and no limits."""


class Call(msgspec.Struct, frozen=True):
    """A call to send, as felts in hexadecimal."""

    contract_address: str
    function: str
    selector: str
    calldata: list[str]


class Repayment(msgspec.Struct, frozen=True):
    """One way to liquidate. Amounts exact; profits in USD at the prices of the answer.

    `refusal`: what the contract would revert with; the amounts are 0 then. `is_bad_debt`: the
    debt is worth more than the collateral covers, and its suppliers lose `bad_debt`.
    """

    refusal: str | None
    repaid_raw: str
    repaid: str
    seized_raw: str
    seized: str
    bad_debt_raw: str
    bad_debt: str
    is_bad_debt: bool
    gross_profit_usd: str
    net_profit_usd: str


class Opportunity(msgspec.Struct, frozen=True):
    """A position that may be liquidated.

    `full` repays all; `partial` is the largest repayment that leaves a rest, which is what the
    contract allows where a full one is refused or costs more than the liquidator has. `best` is
    the one of them that `calls` sends: an approval of the debt asset, and the liquidation.
    """

    pool_id: str
    pool_address: str
    pool_name: str | None
    is_listed: bool
    collateral_address: str
    collateral_asset: str | None
    debt_address: str
    debt_asset: str | None
    user_id: str
    collateral_raw: str
    debt_raw: str
    ltv: str | None
    health_factor: str | None
    bonus: str
    smallest_repay_raw: str
    full: Repayment
    partial: Repayment | None
    best: str
    net_profit_usd: str
    prices: list[markets.Price]
    calls: list[Call]


class Opportunities(point_in_time.Moment, frozen=True):
    """Opportunities at a moment, the most profitable first. `refused` positions are below their
    limit, but their pool allows no liquidation now (paused, closing, or without a valid price).
    `unlisted` more are in pools that are not listed, where profits are at prices that a curator
    chooses; they are shown where the pool is named. No position is judged in the pools under
    `unknown`, which are frozen or have rates that nobody knows: listed pools, or the named one."""

    opportunities: list[Opportunity]
    refused: int
    unlisted: int
    unknown: list[unknown_state.UnknownPool]


class _Borrower(NamedTuple):
    key: state.PositionKey
    position: state.PositionState


async def find(
    connection: Connection,
    terms: Terms = FREE,
    at: point_in_time.When = None,
    conditions: markets.Conditions = markets.AS_RECORDED,
    pool: int | None = None,
    limit: int = 100,
    max_price_age: int | None = None,
) -> Opportunities:
    """What may be liquidated at a moment, in time to come, or at other prices.

    Prices older than `max_price_age` seconds say so; None: they may have any age.
    """
    terms.check()
    conditions.check()
    async with point_in_time.steady(connection):
        moment = await point_in_time.moment(connection, at)
        later = markets.ahead(moment, conditions.ahead_seconds)
        snapshot = point_in_time.Snapshot(later, max_price_age)
        await snapshot.load(connection, None if pool is None else {pool})
        markets.check_known(snapshot, conditions.price_changes)
        borrowers = await _borrowers(connection, snapshot, pool, _bound(conditions))
    listed, refused, unlisted = [], 0, 0
    for under_water in _under_water(snapshot, borrowers, conditions):
        opportunity = liquidation.opportunity(under_water.market, _most(under_water.market, terms))
        best = opportunity.best(_most(under_water.market, terms)) if opportunity else None
        if opportunity is None or best is None:
            refused += opportunity is None
            continue
        net = terms.costs.net(best)
        if terms.min_profit_usd is not None and net < _scaled(terms.min_profit_usd):
            continue
        if pool is None and not snapshot.is_listed(under_water.key.pool):
            unlisted += 1
        else:
            listed.append((net, under_water, opportunity, best))
    listed.sort(key=lambda entry: (-entry[0], entry[1].key))
    prices = _Prices(snapshot, moment, conditions)
    return Opportunities(
        *moment.parts,
        [_written(prices, entry, terms.costs) for entry in listed[:limit]],
        refused,
        unlisted,
        [
            unknown
            for key, unknown in unknown_state.pools(snapshot)
            if pool is not None or snapshot.is_listed(key)
        ],
    )


def _bound(conditions: markets.Conditions) -> decimal.Decimal | None:
    """The highest health, at recorded prices, of a position that the conditions may endanger.

    None where every position may be: a price falls to nothing.
    """
    changes = [decimal.Decimal(0), *conditions.price_changes.values()]
    lowest, highest = 1 + min(changes), 1 + max(changes)
    return None if lowest <= 0 else ROUNDED * highest / lowest


async def _borrowers(
    connection: Connection,
    snapshot: point_in_time.Snapshot,
    pool: int | None,
    bound: decimal.Decimal | None,
) -> list[_Borrower]:
    """The positions that owe something at the moment and may be of this health or a lower one."""
    block = snapshot.moment.block_number
    candidates = None
    if bound is not None:
        candidates = await near.candidates(connection, snapshot, bound, MOST_CANDIDATES)
    if candidates is not None:
        rows = await connection.fetch(_SQL["candidates"], block, *candidates)
    else:
        pool_id = None if pool is None else felt252.padded(pool)
        rows = await connection.fetch(_SQL["borrowers"], block, pool_id)
    return [_Borrower(*position_rows.parse(row)) for row in rows]


class _UnderWater(NamedTuple):
    key: state.PositionKey
    market: market.Market


def _under_water(
    snapshot: point_in_time.Snapshot, borrowers: Sequence[_Borrower], conditions: markets.Conditions
) -> Iterator[_UnderWater]:
    """The positions beyond their limit, each under the key that its liquidation names."""
    for key, position in borrowers:
        own = key._replace(pool=snapshot.world.market(key.pool))
        try:
            met = markets.market_of(snapshot, key, position)
            market_state = markets.at_changed_prices(met, own, conditions.price_changes)
            is_under_water = _is_priced(market_state) and not market_state.is_collateralized
        except (errors.QuestionError, maths.RevertedError):
            continue  # a pool that lacks its asset, or whose numbers overflow, leaves out no other
        if is_under_water:
            yield _UnderWater(own, markets.in_mode(market_state, conditions))


def _is_priced(market_state: market.Market) -> bool:
    return bool(market_state.collateral.price and market_state.debt.price)


def _most(market_state: market.Market, terms: Terms) -> int | None:
    """The liquidator's capital in raw units of the debt asset."""
    if terms.capital_usd is None:
        return None
    price = market_state.debt.price or 1
    return _scaled(terms.capital_usd) * market_state.debt.scale // price


def _scaled(value: decimal.Decimal) -> int:
    return int(value.scaleb(18, point_in_time.EXACT))


# --- how an opportunity is written ---------------------------------------------------------------


class _Prices(NamedTuple):
    snapshot: point_in_time.Snapshot
    moment: point_in_time.Moment
    conditions: markets.Conditions

    def of(self, key: state.PositionKey) -> list[markets.Price]:
        """The prices of a position's two assets."""
        return [
            markets.price_of(
                self.snapshot,
                state.AssetKey(key.pool, asset),
                self.moment,
                self.conditions.price_changes,
            )
            for asset in (key.collateral, key.debt)
        ]


def _written(
    prices: _Prices,
    entry: tuple[int, _UnderWater, liquidation.Opportunity, liquidation.Liquidation],
    costs: liquidation.Costs,
) -> Opportunity:
    net, (key, market_state), opportunity, best = entry
    collateral, debt = prices.of(key)
    ltv = (
        market_state.debt_usd * maths.SCALE // market_state.collateral_usd
        if market_state.collateral_usd
        else None
    )
    return Opportunity(
        felt252.padded(key.pool.id),
        felt252.padded(key.pool.address),
        prices.snapshot.pool_name(key.pool),
        prices.snapshot.is_listed(key.pool),
        collateral.asset_address,
        collateral.asset,
        debt.asset_address,
        debt.asset,
        felt252.padded(key.user),
        str(market_state.collateral_held),
        str(market_state.debt_owed),
        rows.scaled(ltv),
        rows.scaled(
            market_state.collateral_usd * market_state.pair.max_ltv // market_state.debt_usd
        ),
        rows.units(liquidation.bonus_rate(market_state), 18),
        str(liquidation.smallest_repay(market_state)),
        _repayment(market_state, opportunity.full, costs),
        None
        if opportunity.partial is None
        else _repayment(market_state, opportunity.partial, costs),
        "full" if best is opportunity.full else "partial",
        rows.units(net, 18),
        [collateral, debt],
        _calls(key, market_state, best, costs, is_full=best is opportunity.full),
    )


def _repayment(
    market_state: market.Market, liquidation: liquidation.Liquidation, costs: liquidation.Costs
) -> Repayment:
    debt, collateral = (
        rows.decimals_of(side.scale) for side in (market_state.debt, market_state.collateral)
    )
    return Repayment(
        None if liquidation.refusal is None else liquidation.refusal.value,
        str(liquidation.paid),
        rows.units(liquidation.paid, debt),
        str(liquidation.seized),
        rows.units(liquidation.seized, collateral),
        str(liquidation.bad_debt),
        rows.units(liquidation.bad_debt, debt),
        liquidation.bad_debt > 0,
        rows.units(liquidation.gross, 18),
        rows.units(0 if liquidation.refusal else costs.net(liquidation), 18),
    )


def _calls(
    key: state.PositionKey,
    market_state: market.Market,
    best: liquidation.Liquidation,
    costs: liquidation.Costs,
    *,
    is_full: bool,
) -> list[Call]:
    """The approval and the liquidation, for at least the collateral less slippage."""
    repay = best.asked
    if is_full:
        then = accrual.accrue(market_state.debt, market_state.debt.last_updated + MARGIN_SECONDS)
        repay = quotes.repay_all(
            market_state.nominal_debt, market_state.debt, then, MARGIN_SECONDS
        ).later
    least = best.seized * (maths.SCALE - costs.slippage) // maths.SCALE
    return [
        _call(calls.approve(key.debt, key.pool.address, repay)),
        _call(calls.liquidate(key, repay, least)),
    ]


def _call(call: calls.Call) -> Call:
    return Call(
        felt252.padded(call.contract),
        call.function,
        hex(call.selector),
        [hex(felt) for felt in call.calldata],
    )
