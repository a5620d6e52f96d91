"""What a chain of actions would do to a position, and the first one that is refused.

Pure: the caller brings the market as it stands and as it is when the actions begin (time gone
by, prices changed). Between actions no time passes, as in one transaction.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from indexer import errors
from indexer.vesu import accrual, amounts, market, maths, quotes, refusals, state, valuation

MAX_ACTIONS = 10
Refusal = refusals.Refusal


class Kind(enum.StrEnum):
    """The four things that an owner does to a position."""

    SUPPLY = "supply"
    WITHDRAW = "withdraw"
    BORROW = "borrow"
    REPAY = "repay"


class Size(enum.StrEnum):
    """An amount that depends on the position.

    ALL: all that it holds or owes (withdraw, repay). MAX: the most that the contract allows
    (withdraw, borrow).
    """

    ALL = "all"
    MAX = "max"


_SIZES = {
    Kind.SUPPLY: frozenset[Size](),
    Kind.WITHDRAW: frozenset({Size.ALL, Size.MAX}),
    Kind.BORROW: frozenset({Size.MAX}),
    Kind.REPAY: frozenset({Size.ALL}),
}


class Action(msgspec.Struct, frozen=True):
    """One action; `amount` in raw units of its asset."""

    kind: Kind
    amount: int | Size


class Standing(msgspec.Struct, frozen=True):
    """A position at one moment: holdings in raw units, all else scaled by 10^18.

    None where it does not apply or no price is known. APYs are those of the two markets as the
    actions left them. `net_apy`: what a year brings, less what it costs, of what the position is
    worth; negative where it costs more.
    """

    collateral_shares: int
    nominal_debt: int
    worth: valuation.Valuation
    supply_apy: int | None
    borrow_apy: int | None
    net_apy: int | None
    collateral_utilization: int
    debt_utilization: int | None


class Step(msgspec.Struct, frozen=True):
    """An action, what it moved and what it left; or why it is refused."""

    action: Action
    deltas: amounts.Deltas
    standing: Standing
    refusal: Refusal | None = None


class Simulation(msgspec.Struct, frozen=True):
    """`before` is the position as it stands, `begun` when the actions begin, `after` at the end.

    A contract refuses all actions of a transaction or none: where `refusal` is not None, `after`
    is what the actions before the refused one would have left.
    """

    before: Standing
    begun: Standing
    steps: list[Step]
    after: Standing

    @property
    def refusal(self) -> Refusal | None:
        """The first reason for which the contract would refuse."""
        return self.steps[-1].refusal if self.steps else None


def check(actions: Sequence[Action]) -> None:
    """QuestionError where the actions are too many, or one has an amount that it cannot have."""
    if len(actions) > MAX_ACTIONS:
        raise errors.QuestionError(
            f"{len(actions)} actions were given: at most {MAX_ACTIONS} are simulated at once"
        )
    for action in actions:
        if isinstance(action.amount, Size):
            if action.amount not in _SIZES[action.kind]:
                raise errors.QuestionError(
                    f"{action.kind} {action.amount} has no meaning: give an amount"
                )
        elif action.amount <= 0:
            raise errors.QuestionError(f"{action.kind} {action.amount}: an amount is above 0")


def run(
    before: market.Market,
    begun: market.Market,
    actions: Sequence[Action],
    *,
    is_v_token: bool = False,
) -> Simulation:
    """Simulate the actions one after another, up to the first that is refused.

    `is_v_token`: the position is a vToken holding, and its shares are a token balance, of which
    no more can be burnt than there is.
    """
    check(actions)
    market_state, steps = begun, []
    for action in actions:
        outcome = _act(market_state, action, is_v_token)
        market_state = outcome.market
        steps.append(Step(action, outcome.deltas, standing(market_state), outcome.refusal))
        if outcome.refusal:
            break
    return Simulation(standing(before), standing(begun), steps, standing(market_state))


def _act(market_state: market.Market, action: Action, is_v_token: bool) -> market.ActionResult:
    if is_v_token and action.kind in (Kind.BORROW, Kind.REPAY):
        raise errors.QuestionError(f"a vToken holding has no debt: {action.kind} is not possible")
    size = _size(market_state, action)
    if action.kind in (Kind.BORROW, Kind.REPAY):
        return market.modify(market_state, debt=size)
    shares = amounts.collateral_deltas(size, 1 << 256, market_state.collateral)[1]
    if is_v_token and -shares > market_state.collateral_shares:
        return market.ActionResult(market_state, amounts.Deltas(), Refusal.INSUFFICIENT_BALANCE)
    return market.modify(market_state, size)


def _size(market_state: market.Market, action: Action) -> amounts.Amount:
    if not isinstance(action.amount, Size):
        adds = action.kind in (Kind.SUPPLY, Kind.BORROW)
        return amounts.Amount(action.amount if adds else -action.amount)
    if action.kind is Kind.REPAY:
        return amounts.Amount(-market_state.nominal_debt, is_native=True)
    if action.kind is Kind.BORROW:
        return amounts.Amount(quotes.max_borrow(market_state).amount)
    if action.amount is Size.MAX:
        largest = quotes.max_withdraw(market_state)
        if not largest.is_all:
            return amounts.Amount(-largest.amount)
    return amounts.Amount(-market_state.collateral_shares, is_native=True)


def standing(market_state: market.Market) -> Standing:
    """What a position is worth in a market, and what it earns and costs."""
    has_debt_asset = bool(market_state.debt.scale)
    position = state.PositionState(
        "borrow",
        collateral_shares=market_state.collateral_shares,
        nominal_debt=market_state.nominal_debt,
    )
    worth = valuation.value(
        position,
        market_state.collateral,
        market_state.debt if has_debt_asset else None,
        market_state.pair.max_ltv,
    )
    earns = valuation.supply_apy(market_state.collateral)
    costs = valuation.borrow_apy(market_state.debt) if has_debt_asset else None
    return Standing(
        market_state.collateral_shares,
        market_state.nominal_debt,
        worth,
        earns,
        costs,
        net_apy(worth, earns, costs if has_debt_asset else 0),
        market_state.collateral.utilization,
        market_state.debt.utilization if has_debt_asset else None,
    )


def net_apy(
    worth: valuation.Valuation, supply_apy: int | None, borrow_apy: int | None
) -> int | None:
    """(supply APY x collateral - borrow APY x debt) / (collateral - debt), rounded down.

    None without prices or yields, and where nothing is left once the debt is paid.
    """
    if supply_apy is None or borrow_apy is None:
        return None
    if worth.collateral_usd is None or worth.debt_usd is None:
        return None
    own = worth.collateral_usd - worth.debt_usd
    if own <= 0:
        return None
    return (supply_apy * worth.collateral_usd - borrow_apy * worth.debt_usd) // own


def at_price(
    market_state: market.Market, collateral: int | None = None, debt: int | None = None
) -> market.Market:
    """The market with other prices (x 10^18, valid); None leaves a price as it is."""
    changed = {
        name: _priced(getattr(market_state, name), price)
        for name, price in (("collateral", collateral), ("debt", debt))
        if price is not None
    }
    return msgspec.structs.replace(market_state, **changed)


def _priced(asset: accrual.AssetState, price: int) -> accrual.AssetState:
    return msgspec.structs.replace(asset, price=price, price_is_valid=True)


def shocked(price: int | None, change: int) -> int | None:
    """A price after a change x 10^18 (-0.2 x 10^18: a fifth less), rounded down; never below 0."""
    if price is None:
        return None
    return max(price * (maths.SCALE + change) // maths.SCALE, 0)
