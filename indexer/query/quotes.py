"""Quotes for a position: largest borrow and withdrawal, full repayment, shares of a supply."""

from __future__ import annotations

import decimal
from collections.abc import Awaitable, Callable

from indexer import errors
from indexer.cairo import felt252
from indexer.projections import rows
from indexer.query import markets, point_in_time
from indexer.vesu import amounts, market, quotes

Connection = markets.Connection


class Quote(point_in_time.Moment, frozen=True):
    """The most that the contract allows, in the units of `asset_address`, whose symbol is `asset`.

    `limit` is what the contract would refuse more with, None where the position has no more.
    `shares_or_nominal_debt`: what the amount takes of the position, or adds to it.
    """

    asset_address: str
    asset: str | None
    amount_raw: str
    amount: str
    shares_or_nominal_debt: str
    is_all: bool
    limit: str | None
    prices: list[markets.Price]


QuoteFunction = Callable[
    [Connection, markets.PositionRef, point_in_time.When, markets.Conditions, int | None],
    Awaitable[Quote],
]
"""`max_borrow` and `max_withdraw`."""


class Repayment(point_in_time.Moment, frozen=True):
    """What clears a debt at the moment, and what is enough for `margin_seconds` from then on.

    The contract never takes more than is owed.
    """

    asset_address: str
    asset: str | None
    amount_raw: str
    amount: str
    margin_seconds: int
    with_margin_raw: str
    with_margin: str


class Supplied(point_in_time.Moment, frozen=True):
    """The shares that a supply brings, and what they are worth at once."""

    asset_address: str
    asset: str | None
    amount_raw: str
    amount: str
    shares: str
    worth_raw: str
    worth: str
    refusal: str | None


async def max_borrow(
    connection: Connection,
    position_ref: markets.PositionRef,
    at: point_in_time.When = None,
    conditions: markets.Conditions = markets.AS_RECORDED,
    max_price_age: int | None = None,
) -> Quote:
    """The most that a position may borrow on top of what it owes."""
    _needs_debt(position_ref, "borrow")
    position_market = await markets.find(connection, position_ref, at, conditions, max_price_age)
    return _quote(position_market, quotes.max_borrow(position_market.begun), is_debt=True)


async def max_withdraw(
    connection: Connection,
    position_ref: markets.PositionRef,
    at: point_in_time.When = None,
    conditions: markets.Conditions = markets.AS_RECORDED,
    max_price_age: int | None = None,
) -> Quote:
    """The most collateral that may leave a position.

    Of a V2 vToken holding: what the vToken's own `max_withdraw` answers.
    """
    position_market = await markets.find(connection, position_ref, at, conditions, max_price_age)
    if position_ref.v_token and position_market.begun.is_v2:
        largest = _v_token_withdraw(position_market)
    else:
        largest = quotes.max_withdraw(position_market.begun)
    return _quote(position_market, largest, is_debt=False)


def _v_token_withdraw(position_market: markets.PositionMarket) -> quotes.Largest:
    amount = quotes.v_token_max_withdraw(
        position_market.begun.collateral_shares, position_market.begun
    )
    action_result = market.modify(position_market.begun, amounts.Amount(-amount))
    is_all = amount == position_market.begun.collateral_held
    limit = None if is_all else quotes.max_withdraw(position_market.begun).limit
    return quotes.Largest(amount, action_result.deltas, limit, is_all)


async def total_repay(
    connection: Connection,
    position_ref: markets.PositionRef,
    at: point_in_time.When = None,
    margin_seconds: int = 0,
) -> Repayment:
    """The amount that clears a position's debt, with a margin for `margin_seconds` of interest."""
    _needs_debt(position_ref, "repay")
    ahead = markets.Conditions(ahead_seconds=margin_seconds)
    position_market = await markets.find(connection, position_ref, at, ahead)
    owed = quotes.repay_all(
        position_market.now.nominal_debt,
        position_market.now.debt,
        position_market.begun.debt,
        margin_seconds,
    )
    return Repayment(
        *position_market.moment.parts,
        felt252.padded(position_market.key.debt),
        _symbol(position_market, position_market.key.debt),
        str(owed.now),
        rows.units(owed.now, position_market.debt_decimals),
        margin_seconds,
        str(owed.later),
        rows.units(owed.later, position_market.debt_decimals),
    )


async def supply_estimate(
    connection: Connection,
    position_ref: markets.PositionRef,
    amount: int | decimal.Decimal,
    at: point_in_time.When = None,
) -> Supplied:
    """The shares that a supply brings: `amount` in raw units, or as a decimal in token units."""
    if amount <= 0:
        raise errors.QuestionError(f"{amount}: an amount is above 0", parameter="amount")
    position_market = await markets.find(connection, position_ref, at)
    if isinstance(amount, decimal.Decimal):
        amount = markets.raw(amount, position_market.now.collateral.scale)
    brought = quotes.supply(position_market.begun, amount)
    return Supplied(
        *position_market.moment.parts,
        felt252.padded(position_market.key.collateral),
        _symbol(position_market, position_market.key.collateral),
        str(amount),
        rows.units(amount, position_market.collateral_decimals),
        str(brought.shares),
        str(brought.worth),
        rows.units(brought.worth, position_market.collateral_decimals),
        None if brought.refusal is None else brought.refusal.value,
    )


def _needs_debt(position_ref: markets.PositionRef, action: str) -> None:
    if position_ref.v_token or not position_ref.debt:
        raise errors.QuestionError(
            f"a position without a debt asset cannot {action}", parameter="debt"
        )


def _quote(
    position_market: markets.PositionMarket, largest: quotes.Largest, *, is_debt: bool
) -> Quote:
    decimals = position_market.debt_decimals if is_debt else position_market.collateral_decimals
    amount_moved = largest.deltas.nominal if is_debt else largest.deltas.shares
    asset = position_market.key.debt if is_debt else position_market.key.collateral
    return Quote(
        *position_market.moment.parts,
        felt252.padded(asset),
        _symbol(position_market, asset),
        str(largest.amount),
        rows.units(largest.amount, decimals),
        str(abs(amount_moved)),
        largest.is_all,
        None if largest.limit is None else largest.limit.value,
        list(position_market.prices),
    )


def _symbol(position_market: markets.PositionMarket, asset: int) -> str | None:
    address = felt252.padded(asset)
    return next(
        (price.asset for price in position_market.prices if price.asset_address == address), None
    )
