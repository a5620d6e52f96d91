"""What actions would do to a position: before, after, and the first reason for a refusal."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Sequence

import msgspec

from indexer import errors, values
from indexer.cairo import felt252
from indexer.projections import rows
from indexer.query import markets, point_in_time
from indexer.vesu import market, refusals, simulation

Connection = markets.Connection
Size = simulation.Size
Amount = int | decimal.Decimal | Size
"""Raw units, token units, or a size that depends on the position (`all`, `max`)."""


class Action(msgspec.Struct, frozen=True):
    """One action on a position."""

    kind: simulation.Kind
    amount: Amount


def parse(text: str) -> Action:
    """An action as people write it: `supply=1.5`, `borrow=raw:1000`, `withdraw=all`.

    QuestionError where it is none.
    """
    name, _, amount = text.partition("=")
    if name not in list(simulation.Kind) or not amount:
        raise errors.QuestionError(
            f"{text[:80]!r} is no action: write supply=, withdraw=, borrow= or repay= and an "
            "amount in token units, raw: and raw units, all or max",
            parameter="action",
        )
    kind = simulation.Kind(name)
    if amount in list(Size):
        return Action(kind, Size(amount))
    if amount.startswith("raw:"):
        return Action(kind, raw_units(amount.removeprefix("raw:"), "action"))
    units = values.number(amount, "action")
    if units <= 0:
        raise errors.QuestionError(f"{text[:80]!r}: an amount is above 0", parameter="action")
    return Action(kind, units)


def raw_units(text: str, parameter: str) -> int:
    """An amount in raw units: digits, as many as a u256 has at most."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 78):
        raise errors.QuestionError(
            f"{text[:80]!r} is no amount in raw units: write digits", parameter=parameter
        )
    return int(text)


class Standing(msgspec.Struct, frozen=True):
    """A position as it would stand. How numbers are written: see `point_in_time`.

    `net_apy`: what a year brings less what it costs, of collateral less debt; None without one.
    """

    collateral_shares: str
    nominal_debt: str
    collateral_raw: str | None
    collateral_amount: str | None
    debt_raw: str | None
    debt_amount: str | None
    collateral_value_usd: str | None
    debt_value_usd: str | None
    ltv: str | None
    health_factor: str | None
    liquidation_price: str | None
    supply_apy: str | None
    borrow_apy: str | None
    net_apy: str | None
    collateral_utilization: str
    debt_utilization: str | None


class Step(msgspec.Struct, frozen=True):
    """An action and what it would move, signed as it changes the position, or why it is refused."""

    action: str
    asked: str
    asset_address: str
    amount_raw: str
    amount: str
    shares_or_nominal_debt: str
    refusal: str | None
    after: Standing


class Simulated(point_in_time.Moment, frozen=True):
    """A simulation: `before` at the moment, `begun` when the actions begin, `after` at the end.

    `refusal` is the text that the contract would revert with, `refused_step` counts from 1. All
    actions of one transaction are refused together.
    """

    pool_id: str
    collateral_address: str
    debt_address: str | None
    v_token: str | None
    user_id: str
    begins_at: datetime.datetime
    shutdown_mode: str
    prices: list[markets.Price]
    is_allowed: bool
    refusal: str | None
    refused_step: int | None
    before: Standing
    begun: Standing
    steps: list[Step]
    after: Standing


def _mode(begun: market.Market) -> refusals.ShutdownMode:
    return refusals.ShutdownMode.NONE if begun.is_v2 else market.shutdown_mode(begun)


async def simulate(
    connection: Connection,
    position_ref: markets.PositionRef,
    actions: Sequence[Action],
    at: point_in_time.When = None,
    conditions: markets.Conditions = markets.AS_RECORDED,
    max_price_age: int | None = None,
) -> Simulated:
    """Simulate up to ten actions on a position, which need not exist, at any past block.

    QuestionError for what cannot be asked; NotFoundError where pool or assets are unknown.
    """
    position_market = await markets.find(connection, position_ref, at, conditions, max_price_age)
    exact = [simulation.Action(action.kind, _exact(position_market, action)) for action in actions]
    ran = simulation.run(
        position_market.now, position_market.begun, exact, is_v_token=bool(position_ref.v_token)
    )
    begins = position_market.moment.valued_at + datetime.timedelta(seconds=conditions.ahead_seconds)
    return Simulated(
        *position_market.moment.parts,
        felt252.padded(position_ref.pool),
        felt252.padded(position_ref.collateral),
        None if position_ref.v_token else felt252.padded(position_ref.debt),
        rows.padded_or_none(position_ref.v_token),
        felt252.padded(position_ref.user),
        begins,
        _mode(position_market.begun).name.lower(),
        list(position_market.prices),
        ran.refusal is None,
        None if ran.refusal is None else ran.refusal.value,
        None if ran.refusal is None else len(ran.steps),
        standing(position_market, ran.before),
        standing(position_market, ran.begun),
        [_step(position_market, step) for step in ran.steps],
        standing(position_market, ran.after),
    )


def _exact(position_market: markets.PositionMarket, action: Action) -> int | Size:
    if not isinstance(action.amount, decimal.Decimal):
        return action.amount
    is_collateral = action.kind in (simulation.Kind.SUPPLY, simulation.Kind.WITHDRAW)
    scale = (position_market.now.collateral if is_collateral else position_market.now.debt).scale
    return markets.raw(action.amount, scale)


def standing(position_market: markets.PositionMarket, standing: simulation.Standing) -> Standing:
    """A position's state with its numbers as text."""
    worth = standing.worth
    return Standing(
        str(standing.collateral_shares),
        str(standing.nominal_debt),
        rows.text_or_none(worth.collateral),
        rows.units_or_none(worth.collateral, position_market.collateral_decimals),
        rows.text_or_none(worth.debt),
        rows.units_or_none(worth.debt, position_market.debt_decimals),
        rows.scaled(worth.collateral_usd),
        rows.scaled(worth.debt_usd),
        rows.scaled(worth.ltv),
        rows.scaled(worth.health_factor),
        rows.scaled(worth.liquidation_price),
        rows.scaled(standing.supply_apy),
        rows.scaled(standing.borrow_apy),
        rows.scaled(standing.net_apy),
        rows.units(standing.collateral_utilization, 18),
        rows.scaled(standing.debt_utilization),
    )


def _step(position_market: markets.PositionMarket, step: simulation.Step) -> Step:
    kind, deltas = step.action.kind, step.deltas
    is_collateral = kind in (simulation.Kind.SUPPLY, simulation.Kind.WITHDRAW)
    units, own = (
        (deltas.collateral, deltas.shares) if is_collateral else (deltas.debt, deltas.nominal)
    )
    asset = position_market.key.collateral if is_collateral else position_market.key.debt
    decimals = (
        position_market.collateral_decimals if is_collateral else position_market.debt_decimals
    )
    return Step(
        kind.value,
        str(step.action.amount),
        felt252.padded(asset),
        str(units),
        rows.units(units, decimals),
        str(own),
        None if step.refusal is None else step.refusal.value,
        standing(position_market, step.standing),
    )
