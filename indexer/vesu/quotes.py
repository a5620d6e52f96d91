"""How much a position may borrow or withdraw, what repays it, what a supply brings.

The largest amounts are found by asking `market.modify`, which is the contract's own arithmetic:
the amount that is quoted passes, and one raw unit more does not. All amounts in raw units.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from indexer.vesu import accrual, amounts, market, maths, refusals

Refusal = refusals.Refusal

TOO_LITTLE = frozenset({Refusal.ZERO_COLLATERAL, Refusal.ZERO_DEBT, Refusal.DUSTY_DEBT})
"""What a larger loan would mend. Anything else is no better for a larger one."""


class Largest(msgspec.Struct, frozen=True):
    """The largest amount that the contract allows, 0 where it allows none.

    `deltas` is what it moves; `limit` why it is not more, None where the position has no more to
    give. `is_all` where the whole position may go.
    """

    amount: int
    deltas: amounts.Deltas
    limit: Refusal | None
    is_all: bool = False


class Repayment(msgspec.Struct, frozen=True):
    """What clears a debt: `now`, and `later`, which is enough for a transaction until then.

    More than is owed is never taken: the contract stops at the debt.
    """

    now: int
    later: int
    seconds: int


class Supplied(msgspec.Struct, frozen=True):
    """What a supply brings: collateral shares, and what they are worth at once."""

    amount: int
    shares: int
    worth: int
    refusal: Refusal | None


def max_borrow(state: market.Market) -> Largest:
    """The most that a position may borrow on top of what it owes."""

    def borrow(amount: int) -> market.ActionResult:
        return market.modify(state, debt=amounts.Amount(amount))

    def fits(amount: int) -> bool:
        refusal = borrow(amount).refusal
        return refusal is None or refusal in TOO_LITTLE

    amount = largest(max(state.debt.reserve, 0), fits)
    action_result = borrow(amount)
    if not amount or action_result.refusal:
        return Largest(0, amounts.Deltas(), action_result.refusal or borrow(1).refusal)
    return Largest(amount, action_result.deltas, borrow(amount + 1).refusal)


def max_withdraw(state: market.Market) -> Largest:
    """The most collateral that a position may withdraw."""
    whole = market.modify(state, amounts.Amount(-state.collateral_shares, is_native=True))
    if whole.refusal is None:
        return Largest(-whole.deltas.collateral, whole.deltas, None, is_all=True)
    if whole.refusal is Refusal.OVERFLOW:
        return Largest(0, amounts.Deltas(), whole.refusal)

    def withdraw(amount: int) -> market.ActionResult:
        return market.modify(state, amounts.Amount(-amount))

    amount = largest(state.collateral_held, lambda size: withdraw(size).refusal is None)
    if not amount:
        return Largest(0, amounts.Deltas(), withdraw(1).refusal or whole.refusal)
    limit = withdraw(amount + 1).refusal or whole.refusal
    return Largest(amount, withdraw(amount).deltas, limit)


def largest(high: int, fits: Callable[[int], bool], near: int | None = None) -> int:
    """The largest of 0 … `high` that fits; what is smaller than one that fits must fit, too.

    `near`: where it may be; the closer, the fewer are tried.
    """
    low = 0
    if near is not None:
        low, high = _around(min(max(near, 0), high), high, fits)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _around(near: int, high: int, fits: Callable[[int], bool]) -> tuple[int, int]:
    """Bounds of the largest that fits, found in growing steps from `near` on."""
    low, step = 0, 1
    if near == 0 or fits(near):
        low = near
        while low + step <= high:
            if not fits(low + step):
                return low, low + step - 1
            low, step = low + step, 2 * step
        return low, high
    high = near - 1
    while high - step > 0:
        if fits(high - step):
            return high - step, high
        high, step = high - step - 1, 2 * step
    return 0, high


def repay_all(
    nominal_debt: int, now: accrual.AssetState, later: accrual.AssetState, seconds: int
) -> Repayment:
    """What clears `nominal_debt` now, and at any time up to `seconds` later.

    The debt asset accrued to both times, each in one step: two steps differ in the last digits.
    """
    owed, then = (amounts.debt_of(nominal_debt, asset) for asset in (now, later))
    return Repayment(owed, max(owed, then), seconds)


def supply(state: market.Market, amount: int) -> Supplied:
    """The shares that a supply of `amount` brings to a position."""
    action_result = market.modify(state, amounts.Amount(amount))
    before = state.collateral_held
    worth = 0 if action_result.refusal else action_result.market.collateral_held - before
    return Supplied(amount, action_result.deltas.shares, worth, action_result.refusal)


def v_token_max_withdraw(balance: int, state: market.Market) -> int:
    """What `max_withdraw` of a V2 vToken answers for the holder of `balance`.

    `state` is the market of the vToken's own position. 0 where the pool is paused or a price is
    invalid; else what the holder has, as far as the utilisation may rise.
    """
    if state.is_paused or not state.has_valid_prices:
        return 0
    return min(
        amounts.collateral_of(balance, state.collateral), _v_token_withdrawable(state.collateral)
    )


def _v_token_withdrawable(asset: accrual.AssetState) -> int:
    """Raw units that may leave: total - debt / maximal utilisation, rounded down."""
    owed, limit = asset.total_debt, asset.max_utilization
    total = asset.reserve + owed
    if not total or maths.ceil_div(owed * maths.SCALE, total) >= limit:
        return 0
    return total - maths.ceil_div(owed * maths.SCALE, limit)
