"""What one action does to a position and its two assets, or why the contract refuses it.

`modify` is the contract's `modify_position`, V1 and V2: a pure function of the state that the
contract reads. Whether the caller owns the position and has the tokens is the caller's affair
and not checked.

Source: `pool.cairo` (V2), `singleton.cairo` and `position_hooks.cairo` (V1); the order of the
checks is the contracts', so that the first one that fails is the one that is named.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from indexer.vesu import accrual, amounts, maths, refusals, state

Refusal = refusals.Refusal
ShutdownMode = refusals.ShutdownMode

INFLATION_FEE_SHARES = 1_000
"""V1: shares that the first deposit of an asset leaves to nobody."""

SAFE_ACCUMULATOR = 18 * maths.SCALE
"""From here on the contract takes an accumulator for unsafe: it hardly fits its storage."""

NO_ASSET = accrual.AssetState(price=0, price_is_valid=True)
"""V1's debt asset zero: supply without a loan."""

_U128 = 1 << 128
_U123 = 1 << 123


class Market(msgspec.Struct, frozen=True):
    """A position, and all of its pool that an action on it reads.

    Both assets are accrued to the time of the action. `mode` is the shutdown mode that a V1
    pool has before the action; `shutdown_ltv` the pair's LTV at which V1 goes into recovery,
    None where there is no such limit.
    """

    collateral: accrual.AssetState
    debt: accrual.AssetState
    pair: state.PairState
    collateral_shares: int = 0
    nominal_debt: int = 0
    is_paused: bool = False
    mode: ShutdownMode = ShutdownMode.NONE
    shutdown_ltv: int | None = None

    @property
    def is_v2(self) -> bool:
        """Whether V2's rules apply."""
        return self.collateral.variant is maths.Variant.V2

    @property
    def collateral_held(self) -> int:
        """The position's collateral in raw units, rounded down."""
        return amounts.collateral_of(self.collateral_shares, self.collateral)

    @property
    def debt_owed(self) -> int:
        """The position's debt in raw units, rounded up."""
        return amounts.debt_of(self.nominal_debt, self.debt)

    @property
    def collateral_usd(self) -> int:
        """The collateral's value x 10^18; 0 without a price."""
        return value_of_collateral(self.collateral_held, self.collateral)

    @property
    def debt_usd(self) -> int:
        """The debt's value x 10^18; 0 without a price."""
        return value_of_debt(self.debt_owed, self.debt)

    @property
    def is_collateralized(self) -> bool:
        """What `check_collateralization` answers."""
        return maths.is_collateralized(self.collateral_usd, self.debt_usd, self.pair.max_ltv)

    @property
    def has_valid_prices(self) -> bool:
        """Whether the pool trusts the prices of both assets."""
        return bool(self.collateral.price_is_valid and self.debt.price_is_valid)

    @property
    def has_safe_accumulators(self) -> bool:
        """Whether both accumulators are below the contract's limit."""
        sides = (self.collateral, self.debt)
        return all(side.last_rate_accumulator < SAFE_ACCUMULATOR for side in sides)


class ActionResult(msgspec.Struct, frozen=True):
    """What an action moved, and the market after it; or why it is refused.

    A refused action moves nothing: `market` is the one before it.
    """

    market: Market
    deltas: amounts.Deltas
    refusal: Refusal | None = None


def value_of_collateral(units: int, asset: accrual.AssetState) -> int:
    """USD x 10^18 of raw units, rounded down; 0 without a price."""
    return maths.collateral_value(units, asset.price or 0, asset.scale) if asset.scale else 0


def value_of_debt(units: int, asset: accrual.AssetState) -> int:
    """USD x 10^18 of raw units owed, rounded as the generation does; 0 without a price."""
    if not asset.scale:
        return 0
    return maths.debt_value(units, asset.price or 0, asset.scale, asset.variant)


def modify(
    market: Market,
    collateral: amounts.Amount = amounts.NOTHING,
    debt: amounts.Amount = amounts.NOTHING,
) -> ActionResult:
    """Change both sides of a position as `modify_position` does."""
    try:
        return _modified(market, collateral, debt)
    except maths.RevertedError:
        return ActionResult(market, amounts.Deltas(), Refusal.OVERFLOW)


def _modified(market: Market, collateral: amounts.Amount, debt: amounts.Amount) -> ActionResult:
    if refusal := closed(market):
        return ActionResult(market, amounts.Deltas(), refusal)
    after, deltas = apply(market, collateral, debt)
    checks = _checks_v2(after, deltas) if market.is_v2 else _checks_v1(market, after, deltas)
    if refusal := next(checks, None):
        return ActionResult(market, amounts.Deltas(), refusal)
    return ActionResult(after, deltas)


def closed(market: Market) -> Refusal | None:
    """The reason why the pool takes no action; None if it does."""
    if market.is_paused:
        return Refusal.PAUSED
    if market.collateral.variant is maths.Variant.FROZEN:
        return Refusal.FROZEN
    return None


def apply(
    market: Market, collateral: amounts.Amount, debt: amounts.Amount, bad_debt: int = 0
) -> tuple[Market, amounts.Deltas]:
    """The market after a change, unchecked; numbers that the contract underflows are negative.

    `bad_debt` is what of a repaid debt nobody pays. Source: `apply_position_update_to_context`.
    """
    units, shares = amounts.collateral_deltas(
        collateral, market.collateral_shares, market.collateral
    )
    after = _with_collateral(market, units, shares) if shares else market
    owed, nominal = amounts.debt_deltas(debt, market.nominal_debt, market.debt)
    if nominal:
        after = _with_debt(after, owed, nominal, bad_debt)
    fee = _inflation_fee(market, shares)
    if fee:
        after = msgspec.structs.replace(after, collateral_shares=after.collateral_shares - fee)
    pair = msgspec.structs.replace(
        market.pair,
        total_collateral_shares=market.pair.total_collateral_shares + shares - fee,
        total_nominal_debt=market.pair.total_nominal_debt + nominal,
    )
    after = msgspec.structs.replace(after, pair=pair)
    return after, amounts.Deltas(units, shares - fee, owed, nominal)


def _inflation_fee(market: Market, shares: int) -> int:
    """V1 takes it from whatever does not withdraw while no shares are counted."""
    takes = not market.is_v2 and not market.collateral.total_collateral_shares and shares >= 0
    return INFLATION_FEE_SHARES if takes else 0


def _with_collateral(market: Market, units: int, shares: int) -> Market:
    total = market.collateral.total_collateral_shares + shares
    if not market.is_v2 and shares < 0 and total <= INFLATION_FEE_SHARES:
        total = 0  # V1 starts again, and so does the rate of shares
    return msgspec.structs.replace(
        market,
        collateral_shares=market.collateral_shares + shares,
        collateral=msgspec.structs.replace(
            market.collateral,
            total_collateral_shares=total,
            reserve=market.collateral.reserve + units,
        ),
    )


def _with_debt(market: Market, owed: int, nominal: int, bad_debt: int) -> Market:
    return msgspec.structs.replace(
        market,
        nominal_debt=market.nominal_debt + nominal,
        debt=msgspec.structs.replace(
            market.debt,
            total_nominal_debt=market.debt.total_nominal_debt + nominal,
            reserve=market.debt.reserve - owed - bad_debt,
        ),
    )


# --- the contracts' checks, each in its order ------------------------------------------------


def _checks_v2(after: Market, deltas: amounts.Deltas) -> Iterator[Refusal]:
    yield from arithmetic(after)
    yield from _limits(after, deltas)
    yield from invariants_v2(after, deltas)


def invariants_v2(after: Market, deltas: amounts.Deltas) -> Iterator[Refusal]:
    """The conditions of V2 for every change, including liquidations."""
    yield from _zero_deltas(deltas)
    yield from floors(after)
    yield from _debt_cap(after)
    if not after.has_valid_prices:
        yield Refusal.INVALID_ORACLE
    if not after.has_safe_accumulators:
        yield Refusal.UNSAFE_ACCUMULATOR


def _checks_v1(before: Market, after: Market, deltas: amounts.Deltas) -> Iterator[Refusal]:
    yield from invariants_v1(after, deltas)
    yield from _limits(after, deltas)
    if deltas.nominal > 0:
        yield from _debt_cap(after)
    yield from _shutdown(before.mode, after, deltas)


def invariants_v1(after: Market, deltas: amounts.Deltas) -> Iterator[Refusal]:
    """The conditions of V1 for every change, including liquidations."""
    yield from arithmetic(after)
    yield from _zero_deltas(deltas)
    yield from floors(after)


def arithmetic(after: Market) -> Iterator[Refusal]:
    """Refusals where the contract's arithmetic underflows or a value cannot be stored."""
    if after.collateral.reserve < 0 or after.debt.reserve < 0:
        yield Refusal.INSUFFICIENT_RESERVE
    if after.collateral_shares < 0 or after.collateral.total_collateral_shares < 0:
        yield Refusal.INFLATION_FEE
    for side in (after.collateral, after.debt):
        wide = max(side.reserve, side.total_collateral_shares)
        if wide >= _U128 or side.total_nominal_debt >= _U123:
            yield Refusal.STORAGE_OVERFLOW


def _zero_deltas(deltas: amounts.Deltas) -> Iterator[Refusal]:
    if (deltas.collateral == 0) != (deltas.shares == 0):
        yield Refusal.ZERO_COLLATERAL
    if (deltas.debt == 0) != (deltas.nominal == 0):
        yield Refusal.ZERO_DEBT


def floors(after: Market) -> Iterator[Refusal]:
    """Dust: a loan, and the collateral of one, are worth more than the floor or nothing."""
    if after.nominal_debt:
        worth = after.collateral_usd
        is_none = worth == 0 and not after.is_v2  # V1 lets a loan stand without any collateral
        if not is_none and worth <= after.collateral.floor:
            yield Refusal.DUSTY_COLLATERAL
    worth = after.debt_usd
    if worth and worth <= after.debt.floor:
        yield Refusal.DUSTY_DEBT


def _limits(after: Market, deltas: amounts.Deltas) -> Iterator[Refusal]:
    """Loan-to-value and utilisation, where collateral leaves or debt is added."""
    if deltas.collateral >= 0 and deltas.debt <= 0:
        return
    if not after.is_collateralized:
        yield Refusal.NOT_COLLATERALIZED
    lends = [after.collateral] * (deltas.collateral < 0) + [after.debt] * (deltas.debt > 0)
    if any(side.utilization > side.max_utilization for side in lends):
        yield Refusal.UTILIZATION


def _debt_cap(after: Market) -> Iterator[Refusal]:
    cap = after.pair.debt_cap
    if cap and amounts.debt_of(after.pair.total_nominal_debt, after.debt) > cap:
        yield Refusal.DEBT_CAP


def shutdown_mode(market: Market) -> ShutdownMode:
    """The mode after V1 has looked at the pair: recovery where it breaks a rule."""
    if market.mode is ShutdownMode.NONE and is_violating(market):
        return ShutdownMode.RECOVERY
    return market.mode


def is_violating(market: Market) -> bool:
    """Whether a pair breaks one of the rules that keep a V1 pool open."""
    return not (market.has_valid_prices and _is_pair_safe(market) and market.has_safe_accumulators)


def _is_pair_safe(market: Market) -> bool:
    if market.shutdown_ltv is None or not market.pair.total_nominal_debt:
        return True  # without a loan there is no total either: none is kept for no debt asset
    collateral = amounts.collateral_of(market.pair.total_collateral_shares, market.collateral)
    owed = amounts.debt_of(market.pair.total_nominal_debt, market.debt)
    return maths.is_collateralized(
        value_of_collateral(collateral, market.collateral),
        value_of_debt(owed, market.debt),
        market.shutdown_ltv,
    )


def _shutdown(
    mode_before: ShutdownMode, after: Market, deltas: amounts.Deltas
) -> Iterator[Refusal]:
    """V1's rules for what may still be done to a pool that is closing."""
    mode = shutdown_mode(msgspec.structs.replace(after, mode=mode_before))
    if mode is ShutdownMode.RECOVERY and (deltas.collateral < 0 or deltas.debt > 0):
        yield Refusal.IN_RECOVERY
    if mode is ShutdownMode.SUBSCRIPTION and (deltas.collateral != 0 or deltas.debt > 0):
        yield Refusal.IN_SUBSCRIPTION
    if mode is ShutdownMode.REDEMPTION:
        if deltas.collateral > 0 or deltas.debt != 0:
            yield Refusal.IN_REDEMPTION
        if after.nominal_debt:
            yield Refusal.NON_ZERO_DEBT
