"""The asset state of a pool and how interest moves it through time.

`AssetState` is the contract's AssetConfig plus the rate model and the last price that the
chain told. It is exact at `last_updated`; `accrue` gives it exactly at any later time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from indexer.cairo import types
from indexer.vesu import events, maths
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v2 import events as events_v2

RateModel = events.InterestRateConfig

NO_MODEL = RateModel(0, 0, 0, 0, 0, 0, 0, 0)


class AssetState(msgspec.Struct, frozen=True, gc=False):
    """One asset of one pool. Units: see `maths`; times in seconds since 1970.

    `price_block` and `price_timestamp` are block and time of the price, None before the first;
    `block_number` and `updated_at` are block and time of the event that last changed any of
    this; `v_token` is the current one; `variant` is the maths that the contract runs. V1 keeps
    no fee shares here: what an accrual mints belongs to nobody only until it is written.
    `rate_model_block`: from its end on the model is sure, None while it is not known or the chain
    contradicts it; `rates_confirmed_block`: the last block in which an event told it or an accrual
    had its rates. Later V1's may have changed without an event.
    `unowned_shares` are those that the total counts and no position holds (V2's first deposit,
    what V1 loses or forgets; negative where positions hold more), so that the sums can be
    checked.
    """

    total_collateral_shares: int = 0
    total_nominal_debt: int = 0
    reserve: int = 0
    max_utilization: int = 0
    floor: int = 0
    scale: int = 0
    is_legacy: bool = False
    last_updated: int = 0
    last_rate_accumulator: int = 0
    last_full_utilization_rate: int = 0
    fee_rate: int = 0
    fee_shares: int = 0
    price: int | None = None
    price_is_valid: bool | None = None
    price_block: int | None = None
    price_timestamp: int | None = None
    model: RateModel = NO_MODEL
    rate_model_block: int | None = None
    rates_confirmed_block: int | None = None
    v_token: int | None = None
    unowned_shares: int = 0
    variant: maths.Variant = maths.Variant.V2
    block_number: int = 0
    updated_at: int = 0

    @property
    def total_debt(self) -> int:
        """All debt at `last_updated` in raw units, rounded down."""
        return maths.calculate_debt(
            self.total_nominal_debt, self.last_rate_accumulator, self.scale, up=False
        )

    @property
    def utilization(self) -> int:
        """Debt / (reserve + debt) at `last_updated`, scaled by 10^18."""
        return maths.utilization(self.reserve, self.total_debt)


def model_of(felts: Sequence[int]) -> RateModel | None:
    """The rate model that a contract's `interest_rate_config` answers: 8 u256.

    None for anything else, which a class that is not known may answer; so the next two.
    """
    if len(felts) < 16 or max(felts[:16]) >> types.LIMB_BITS:
        return None
    return RateModel(*(types.u256(felts[i], felts[i + 1]) for i in range(0, 16, 2)))


def config_of(felts: Sequence[int]) -> events_v1.AssetConfig | None:
    """V1's AssetConfig as `asset_config_unsafe` answers it: 20 felts, others may follow."""
    if len(felts) < 20 or max(felts[:20]) >> types.LIMB_BITS or felts[12] > 1:
        return None

    def u256(offset: int) -> int:
        return types.u256(felts[offset], felts[offset + 1])

    return events_v1.AssetConfig(
        total_collateral_shares=u256(0),
        total_nominal_debt=u256(2),
        reserve=u256(4),
        max_utilization=u256(6),
        floor=u256(8),
        scale=u256(10),
        is_legacy=types.boolean(felts[12]),
        last_updated=felts[13],
        last_rate_accumulator=u256(14),
        last_full_utilization_rate=u256(16),
        fee_rate=u256(18),
    )


def position_of(felts: Sequence[int]) -> tuple[int, int] | None:
    """(collateral shares, nominal debt) as `position_unsafe` answers them; more felts follow."""
    if len(felts) < 4 or max(felts[:4]) >> types.LIMB_BITS:
        return None
    return types.u256(felts[0], felts[1]), types.u256(felts[2], felts[3])


def with_config(
    state: AssetState, config: events_v2.AssetConfig | events_v1.AssetConfig, **changes: Any
) -> AssetState:
    """The state after the contract wrote `config`, with other changes of it.

    V1's has no fee shares: they are given away.
    """
    return msgspec.structs.replace(
        state,
        total_collateral_shares=config.total_collateral_shares,
        total_nominal_debt=config.total_nominal_debt,
        reserve=config.reserve,
        max_utilization=config.max_utilization,
        floor=config.floor,
        scale=config.scale,
        is_legacy=config.is_legacy,
        last_updated=config.last_updated,
        last_rate_accumulator=config.last_rate_accumulator,
        last_full_utilization_rate=config.last_full_utilization_rate,
        fee_rate=config.fee_rate,
        fee_shares=config.fee_shares if type(config) is events_v2.AssetConfig else 0,
        **changes,
    )


def with_context(
    state: AssetState,
    config: events_v2.AssetConfig,
    price: events.AssetPrice,
    block: int,
    timestamp: int,
) -> AssetState:
    """The state as V2's UpdateContext of a block gives it: configuration and price.

    The caller has proved the rates of its accrual; see `confirmed`. One replacement and no
    dictionary of changes: no other event is as frequent.
    """
    since, confirmed_block = state.rate_model_block, state.rates_confirmed_block
    if config.last_updated > state.last_updated and state.model != NO_MODEL:
        since = block if since is None else since
        confirmed_block = block
    return msgspec.structs.replace(
        state,
        total_collateral_shares=config.total_collateral_shares,
        total_nominal_debt=config.total_nominal_debt,
        reserve=config.reserve,
        max_utilization=config.max_utilization,
        floor=config.floor,
        scale=config.scale,
        is_legacy=config.is_legacy,
        last_updated=config.last_updated,
        last_rate_accumulator=config.last_rate_accumulator,
        last_full_utilization_rate=config.last_full_utilization_rate,
        fee_rate=config.fee_rate,
        fee_shares=config.fee_shares,
        price=price.value,
        price_is_valid=price.is_valid,
        price_block=block,
        price_timestamp=timestamp,
        rate_model_block=since,
        rates_confirmed_block=confirmed_block,
        block_number=block,
        updated_at=timestamp,
    )


def with_price(
    state: AssetState, price: events.AssetPrice, block: int, timestamp: int
) -> AssetState:
    """The state with the price that was told in a block, at that block's time."""
    return msgspec.structs.replace(
        state,
        price=price.value,
        price_is_valid=price.is_valid,
        price_block=block,
        price_timestamp=timestamp,
    )


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What views said of an asset at the end of `block_number`.

    `price` with its block and time is the newest that was sampled up to then, None where every
    sample was refused; `is_valid` is what the oracle says at the block. `model` is V1's rate
    model, which changes without an event; None: not sampled.
    """

    block_number: int
    is_valid: bool
    price: int | None = None
    price_block: int | None = None
    price_timestamp: int | None = None
    model: RateModel | None = None


def with_sample(state: AssetState, sample: Sample) -> AssetState:
    """The state with the values of a sample that no later event changed."""
    if sample.model is not None and sample.block_number >= state.block_number:
        state = _with_sampled_model(state, sample.model, sample.block_number)
    event_block = -1 if state.price_block is None else state.price_block
    if sample.block_number < event_block:
        return state
    if sample.price_block is not None and sample.price_block >= event_block:
        state = msgspec.structs.replace(
            state,
            price=sample.price,
            price_block=sample.price_block,
            price_timestamp=sample.price_timestamp,
        )
    is_valid = None if state.price is None else sample.is_valid
    return msgspec.structs.replace(state, price_is_valid=is_valid)


def _with_sampled_model(state: AssetState, model: RateModel, block: int) -> AssetState:
    since = state.rate_model_block if model == state.model else block
    return msgspec.structs.replace(
        state, model=model, rate_model_block=since, rates_confirmed_block=block
    )


def with_model(state: AssetState, model: RateModel, block: int) -> AssetState:
    """The state with the rate model from an event or a view of a block."""
    is_same = model == state.model and state.rate_model_block is not None
    return msgspec.structs.replace(
        state,
        model=model,
        rate_model_block=state.rate_model_block if is_same else block,
        rates_confirmed_block=block,
    )


def confirmed(state: AssetState, before: AssetState, block: int) -> AssetState:
    """The state after an accrual in a block had the rates that the model before it gives.

    Where no time passed that shows nothing.
    """
    if state.last_updated <= before.last_updated:
        return state
    since = block if state.rate_model_block is None else state.rate_model_block
    return msgspec.structs.replace(state, rate_model_block=since, rates_confirmed_block=block)


def current_rate(state: AssetState, now: int) -> tuple[int, int]:
    """(interest rate per second, full-utilisation rate) that hold from `last_updated` to now."""
    if state.variant is maths.Variant.FROZEN or state.model == NO_MODEL:
        return 0, state.last_full_utilization_rate
    return maths.interest_rate(
        state.model,
        state.utilization,
        now - state.last_updated,
        state.last_full_utilization_rate,
        state.variant,
    )


def rates_at(state: AssetState, now: int) -> tuple[int, int]:
    """(rate accumulator, full-utilisation rate) of the state accrued to time `now`."""
    elapsed = now - state.last_updated
    is_still = state.variant is maths.Variant.FROZEN or state.model == NO_MODEL
    if elapsed <= 0 or state.last_updated == 0 or is_still:
        return state.last_rate_accumulator, state.last_full_utilization_rate
    rate, full = maths.interest_rate(
        state.model, state.utilization, elapsed, state.last_full_utilization_rate, state.variant
    )
    return maths.rate_accumulator(state.last_rate_accumulator, rate, elapsed), full


def lacks_rates(state: AssetState, now: int | None = None) -> bool:
    """Whether nobody can tell what a V1 market's debt has grown to since its last event.

    So it is where the pool's extension, which tells rates and prices, is none that is known. At
    the time `now` of that event itself no interest is missing, as in the block of a migration.
    Without `now`: at any other time.
    """
    is_v1 = state.variant not in (maths.Variant.V2, maths.Variant.FROZEN)
    has_debt = state.total_nominal_debt > 0
    return is_v1 and state.model == NO_MODEL and has_debt and state.last_updated != now


def accrue(state: AssetState, now: int) -> AssetState:
    """The state at time `now` (>= last_updated): what `asset_config` answers then.

    No time passed, or no rate model yet: unchanged. The utilisation that sets the rate is
    the one before the accrual. RevertedError where the contract's own arithmetic overflows.
    """
    elapsed = now - state.last_updated
    if elapsed <= 0 or state.last_updated == 0:
        return state
    if state.variant is maths.Variant.FROZEN:
        return msgspec.structs.replace(state, last_updated=now)
    if state.model == NO_MODEL:
        return state
    accumulator, full = rates_at(state, now)
    minted = maths.fee_shares(
        total_nominal_debt=state.total_nominal_debt,
        total_shares=state.total_collateral_shares,
        reserve=state.reserve,
        old_accumulator=state.last_rate_accumulator,
        new_accumulator=accumulator,
        scale=state.scale,
        fee_rate=state.fee_rate,
        variant=state.variant,
    )
    return msgspec.structs.replace(
        state,
        last_updated=now,
        last_rate_accumulator=accumulator,
        last_full_utilization_rate=full,
        fee_shares=state.fee_shares + minted,
        total_collateral_shares=state.total_collateral_shares + minted,
    )


def collateral_of(shares: int, state: AssetState) -> int:
    """Raw units that `shares` of an accrued state are worth, rounded down.

    Where no shares are counted (V1's reset rule), V1 takes one for 10^-18 of a whole token.
    """
    if state.total_collateral_shares == 0 and state.variant is not maths.Variant.V2:
        return shares * state.scale // maths.SCALE
    return maths.calculate_collateral(
        shares, state.reserve, state.total_debt, state.total_collateral_shares
    )


def debt_of(nominal_debt: int, state: AssetState) -> int:
    """Raw units owed for a nominal debt in an accrued state, rounded up."""
    return maths.calculate_debt(nominal_debt, state.last_rate_accumulator, state.scale, up=True)
