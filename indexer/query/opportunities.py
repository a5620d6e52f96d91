"""Finds positions that may be liquidated, now, at a past block or at other prices, and amounts."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.projections import positions as position_rows
from indexer.query import (
    computation,
    markets,
    near,
    opportunity,
    point_in_time,
    unknown_state,
)
from indexer.store import sqlfile
from indexer.vesu import liquidation, market, maths, state

Connection = markets.Connection
_SQL = sqlfile.load(__package__, "opportunities")

ROUNDED = decimal.Decimal("1.001")
"""Rounding moves a health by less than this."""

MOST_CANDIDATES = 50_000
"""Where more may be endangered, or changed since, every position that owes something is judged."""

MOST_JUDGED = 50_000
"""How many positions an answer judges."""


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


class Opportunities(point_in_time.Moment, frozen=True):
    """Opportunities at a moment, the most profitable first. `refused` positions are below their
    limit, but their pool allows no liquidation now (paused, closing, or without a valid price).
    `unlisted` more are in pools that are not listed, where profits are at prices that a curator
    chooses; they are shown where the pool is named. No position is judged in the pools under
    `unknown`, which are frozen or have rates that nobody knows: listed pools, or the named one."""

    opportunities: list[opportunity.Opportunity]
    refused: int
    unlisted: int
    unknown: list[unknown_state.UnknownPool]


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
        stored = await _borrowers(connection, snapshot, pool, _bound(conditions))
    question = _Question(snapshot, moment, terms, conditions, pool, limit)
    return await computation.of(_answer, question, stored)


class _Question(NamedTuple):
    snapshot: point_in_time.Snapshot
    moment: point_in_time.Moment
    terms: Terms
    conditions: markets.Conditions
    pool: int | None
    limit: int


class _Profit(NamedTuple):
    """A position that may be liquidated: its best liquidation, and what that brings in the end.

    `parts` is what was looked for to find it; None: the whole was allowed.
    """

    net: int
    position: _UnderWater
    best: liquidation.Liquidation
    parts: liquidation.Opportunity | None


def _answer(question: _Question, stored: Sequence[asyncpg.Record]) -> Opportunities:
    snapshot, pool = question.snapshot, question.pool
    profits, refused = _profits(question, stored)
    shown = [
        profit
        for profit in profits
        if pool is not None or snapshot.is_listed(profit.position.key.pool)
    ]
    shown.sort(key=lambda profit: (-profit.net, profit.position.key))
    prices = opportunity.Prices(snapshot, question.moment, question.conditions)
    return Opportunities(
        *question.moment.parts,
        [_shown(prices, profit, question.terms) for profit in shown[: question.limit]],
        refused,
        len(profits) - len(shown),
        [
            unknown
            for key, unknown in unknown_state.pools(snapshot)
            if pool is not None or snapshot.is_listed(key)
        ],
    )


def _profits(question: _Question, stored: Sequence[asyncpg.Record]) -> tuple[list[_Profit], int]:
    """What may be liquidated within the terms, and how many positions their pool keeps as they
    are."""
    terms, found, refused = question.terms, list[_Profit](), 0
    least = None if terms.min_profit_usd is None else _scaled(terms.min_profit_usd)
    for position in _under_water(question.snapshot, stored, question.conditions):
        most = _most(position.market, terms)
        best, parts = liquidation.whole(position.market, most), None
        if best is None:
            # To find the largest part takes many tries: only where the whole is refused.
            parts = liquidation.opportunity(position.market, most)
            refused += parts is None
            best = parts.best(most) if parts else None
        if best is None:
            continue
        net = terms.costs.net(best)
        if least is None or net >= least:
            found.append(_Profit(net, position, best, parts))
    return found, refused


def _shown(prices: opportunity.Prices, profit: _Profit, terms: Terms) -> opportunity.Opportunity:
    key, market_state = profit.position
    found = profit.parts or liquidation.opportunity(market_state, _most(market_state, terms))
    assert found is not None, "its best liquidation was found"
    return opportunity.shown(prices, key, market_state, found, profit.best, terms.costs)


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
) -> list[asyncpg.Record]:
    """The positions that owe something at the moment and may be of this health or a lower one.

    QuestionError where they are more than MOST_JUDGED.
    """
    block = snapshot.moment.block_number
    candidates = None
    if bound is not None:
        candidates = await near.candidates(connection, snapshot, bound, MOST_CANDIDATES)
    if candidates is not None:
        return await connection.fetch(_SQL["candidates"], block, *candidates)
    pool_id = None if pool is None else felt252.padded(pool)
    stored = await connection.fetch(_SQL["borrowers"], block, pool_id, MOST_JUDGED + 1)
    if len(stored) > MOST_JUDGED:
        raise errors.QuestionError(
            f"more than {MOST_JUDGED:,} positions would have to be judged: name a pool, or let "
            "prices change by less",
            parameter="pool",
        )
    return stored


class _UnderWater(NamedTuple):
    key: state.PositionKey
    market: market.Market


def _under_water(
    snapshot: point_in_time.Snapshot,
    stored: Sequence[asyncpg.Record],
    conditions: markets.Conditions,
) -> Iterator[_UnderWater]:
    """The positions beyond their limit, each under the key that its liquidation names."""
    for key, position in map(position_rows.parse, stored):
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
