"""Quotes for a position: most to borrow and withdraw, what repays all, what a supply brings."""

from __future__ import annotations

import decimal

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
    wanted: markets.PositionRef,
    at: point_in_time.When = None,
    conditions: markets.Conditions = markets.AS_RECORDED,
    max_price_age: int | None = None,
) -> Quote:
    """The most that a position may borrow on top of what it owes."""
    _needs_debt(wanted, "borrow")
    found = await markets.find(connection, wanted, at, conditions, max_price_age)
    return _quote(found, quotes.max_borrow(found.begun), is_debt=True)


async def max_withdraw(
    connection: Connection,
    wanted: markets.PositionRef,
    at: point_in_time.When = None,
    conditions: markets.Conditions = markets.AS_RECORDED,
    max_price_age: int | None = None,
) -> Quote:
    """The most collateral that may leave a position.

    Of a V2 vToken holding: what the vToken's own `max_withdraw` answers.
    """
    found = await markets.find(connection, wanted, at, conditions, max_price_age)
    if wanted.v_token and found.begun.is_v2:
        largest = _v_token_withdraw(found)
    else:
        largest = quotes.max_withdraw(found.begun)
    return _quote(found, largest, is_debt=False)


def _v_token_withdraw(found: markets.PositionMarket) -> quotes.Largest:
    amount = quotes.v_token_max_withdraw(found.begun.collateral_shares, found.begun)
    asked = market.modify(found.begun, amounts.Amount(-amount))
    is_all = amount == found.begun.collateral_held
    limit = None if is_all else quotes.max_withdraw(found.begun).limit
    return quotes.Largest(amount, asked.deltas, limit, is_all)


async def total_repay(
    connection: Connection,
    wanted: markets.PositionRef,
    at: point_in_time.When = None,
    margin_seconds: int = 0,
) -> Repayment:
    """What clears a position's debt, with a margin for the interest of `margin_seconds`."""
    _needs_debt(wanted, "repay")
    ahead = markets.Conditions(ahead_seconds=margin_seconds)
    found = await markets.find(connection, wanted, at, ahead)
    owed = quotes.repay_all(
        found.now.nominal_debt, found.now.debt, found.begun.debt, margin_seconds
    )
    return Repayment(
        *found.moment.parts,
        felt252.padded(found.key.debt),
        _symbol(found, found.key.debt),
        str(owed.now),
        rows.units(owed.now, found.debt_decimals),
        margin_seconds,
        str(owed.later),
        rows.units(owed.later, found.debt_decimals),
    )


async def supply_estimate(
    connection: Connection,
    wanted: markets.PositionRef,
    amount: int | decimal.Decimal,
    at: point_in_time.When = None,
) -> Supplied:
    """The shares that a supply brings: `amount` in raw units, or as a decimal in token units."""
    if amount <= 0:
        raise errors.QuestionError(f"{amount}: an amount is above 0", parameter="amount")
    found = await markets.find(connection, wanted, at)
    if isinstance(amount, decimal.Decimal):
        amount = markets.raw(amount, found.now.collateral.scale)
    brought = quotes.supply(found.begun, amount)
    return Supplied(
        *found.moment.parts,
        felt252.padded(found.key.collateral),
        _symbol(found, found.key.collateral),
        str(amount),
        rows.units(amount, found.collateral_decimals),
        str(brought.shares),
        str(brought.worth),
        rows.units(brought.worth, found.collateral_decimals),
        None if brought.refusal is None else brought.refusal.value,
    )


def _needs_debt(wanted: markets.PositionRef, action: str) -> None:
    if wanted.v_token or not wanted.debt:
        raise errors.QuestionError(
            f"a position without a debt asset cannot {action}", parameter="debt"
        )


def _quote(found: markets.PositionMarket, largest: quotes.Largest, *, is_debt: bool) -> Quote:
    decimals = found.debt_decimals if is_debt else found.collateral_decimals
    amount_moved = largest.deltas.nominal if is_debt else largest.deltas.shares
    asset = found.key.debt if is_debt else found.key.collateral
    return Quote(
        *found.moment.parts,
        felt252.padded(asset),
        _symbol(found, asset),
        str(largest.amount),
        rows.units(largest.amount, decimals),
        str(abs(amount_moved)),
        largest.is_all,
        None if largest.limit is None else largest.limit.value,
        list(found.prices),
    )


def _symbol(found: markets.PositionMarket, asset: int) -> str | None:
    address = felt252.padded(asset)
    return next((price.asset for price in found.prices if price.asset_address == address), None)
