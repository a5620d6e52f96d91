"""Typed events. All felts, addresses and integers are Python ints; ByteArrays are text.

`Felt` and `int` are the same to Python; the word says how a field is shown.

Field names are the ABI's, but for `from` and `to` of a transfer, which are Python's keywords
or too short to search for. u256 and i257 are plain ints, i257 signed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from indexer.vesu import text

Felt = int
"""An address, a class hash or a felt: shown as hex, where an `int` is shown as a number."""


class Struct(msgspec.Struct, frozen=True, gc=False):
    """Base of all events and of the structs inside them."""


# --- structs inside events -----------------------------------------------------------------


class AssetConfig(Struct, frozen=True, gc=False):
    """The contract's AssetConfig: 22 felts in V2. Units: `maths`."""

    total_collateral_shares: int
    total_nominal_debt: int
    reserve: int
    max_utilization: int
    floor: int
    scale: int
    is_legacy: bool
    last_updated: int
    last_rate_accumulator: int
    last_full_utilization_rate: int
    fee_rate: int
    fee_shares: int


class AssetPrice(Struct, frozen=True, gc=False):
    """An oracle price in USD x 10^18, and whether the oracle calls it valid."""

    value: int
    is_valid: bool


class InterestRateConfig(Struct, frozen=True, gc=False):
    """The rate model. Utilisations x 10^5, rates per second x 10^18, half-life in seconds."""

    min_target_utilization: int
    max_target_utilization: int
    target_utilization: int
    min_full_utilization_rate: int
    max_full_utilization_rate: int
    zero_utilization_rate: int
    rate_half_life: int
    target_rate_percent: int


class PairConfig(Struct, frozen=True, gc=False):
    """A pair's limits: LTV and factor x 10^18, cap in raw units of the debt asset."""

    max_ltv: int
    liquidation_factor: int
    debt_cap: int


class OracleConfig(Struct, frozen=True, gc=False):
    """How an asset's price is read from Pragma."""

    pragma_key: Felt
    timeout: int
    number_of_sources: int
    start_time_offset: int
    time_window: int
    aggregation_mode: int


# --- the pool ------------------------------------------------------------------------------


class UpdateContext(Struct, frozen=True, gc=False):
    """Both assets' full state after an action, and the prices that it used."""

    collateral_asset: Felt
    debt_asset: Felt
    collateral_asset_config: AssetConfig
    debt_asset_config: AssetConfig
    collateral_asset_price: AssetPrice
    debt_asset_price: AssetPrice


class ModifyPosition(Struct, frozen=True, gc=False):
    """A position's change; deltas in raw units, shares and nominal debt."""

    collateral_asset: Felt
    debt_asset: Felt
    user: Felt
    collateral_delta: int
    collateral_shares_delta: int
    debt_delta: int
    nominal_debt_delta: int


class LiquidatePosition(Struct, frozen=True, gc=False):
    """A liquidation; `debt_delta` is negative and includes `bad_debt`."""

    collateral_asset: Felt
    debt_asset: Felt
    user: Felt
    liquidator: Felt
    collateral_delta: int
    collateral_shares_delta: int
    debt_delta: int
    nominal_debt_delta: int
    bad_debt: int


class Flashloan(Struct, frozen=True, gc=False):
    """A flash loan: no state changes."""

    sender: Felt
    receiver: Felt
    asset: Felt
    amount: int


class ModifyDelegation(Struct, frozen=True, gc=False):
    """A right to act for somebody, given or taken."""

    delegator: Felt
    delegatee: Felt
    delegation: bool


class Donate(Struct, frozen=True, gc=False):
    """Raw units given to an asset's reserve."""

    asset: Felt
    amount: int


class SetAssetConfig(Struct, frozen=True, gc=False):
    """An asset's full state, at its addition and after each parameter change."""

    asset: Felt
    asset_config: AssetConfig


class SetOracle(Struct, frozen=True, gc=False):
    """The pool's new oracle contract."""

    oracle: Felt


class SetPairConfig(Struct, frozen=True, gc=False):
    """A pair's full configuration."""

    collateral_asset: Felt
    debt_asset: Felt
    pair_config: PairConfig


class SetInterestRateConfig(Struct, frozen=True, gc=False):
    """An asset's full rate model; nested under InterestRateModelEvents."""

    asset: Felt
    interest_rate_config: InterestRateConfig


class ClaimFees(Struct, frozen=True, gc=False):
    """Fee shares burned and the raw units paid for them."""

    asset: Felt
    recipient: Felt
    fee_shares: int
    fee_amount: int


class SetFeeRecipient(Struct, frozen=True, gc=False):
    """Who may claim the fees."""

    fee_recipient: Felt


class SetPausingAgent(Struct, frozen=True, gc=False):
    """Who may pause the pool."""

    agent: Felt


class SetCurator(Struct, frozen=True, gc=False):
    """The curator, from now on."""

    curator: Felt


class NominateCurator(Struct, frozen=True, gc=False):
    """Who may accept to become the curator."""

    pending_curator: Felt


class ContractPaused(Struct, frozen=True, gc=False):
    """The pool is paused."""

    account: Felt


class ContractUnpaused(Struct, frozen=True, gc=False):
    """The pool is no longer paused."""

    account: Felt


class ContractUpgraded(Struct, frozen=True, gc=False):
    """The contract runs another class from now on."""

    new_implementation: Felt


class OwnershipTransferred(Struct, frozen=True, gc=False):
    """A new owner."""

    previous_owner: Felt
    new_owner: Felt


class OwnershipTransferStarted(Struct, frozen=True, gc=False):
    """An owner to be, who must accept."""

    previous_owner: Felt
    new_owner: Felt


# --- the factory ---------------------------------------------------------------------------


class CreatePool(Struct, frozen=True, gc=False):
    """A pool is created; `curator` is only nominated. `name` is a short string's felt."""

    pool: Felt
    name: Felt
    owner: Felt
    curator: Felt
    oracle: Felt


class AddAsset(Struct, frozen=True, gc=False):
    """An asset is added to a pool through the factory."""

    pool: Felt
    asset: Felt


class CreateVToken(Struct, frozen=True, gc=False):
    """A vToken is deployed for a pool's asset."""

    pool: Felt
    asset: Felt
    v_token: Felt
    v_token_name: str
    v_token_symbol: str


class UpdateVToken(Struct, frozen=True, gc=False):
    """A pool's asset gets another vToken; the old one stays redeemable."""

    pool: Felt
    asset: Felt
    prev_v_token: Felt
    new_v_token: Felt


class CreateOracle(Struct, frozen=True, gc=False):
    """An oracle contract is deployed."""

    oracle: Felt
    manager: Felt


# --- the oracle ----------------------------------------------------------------------------


class SetOracleConfig(Struct, frozen=True, gc=False):
    """How an asset's price is read from now on."""

    asset: Felt
    oracle_config: OracleConfig


class SetManager(Struct, frozen=True, gc=False):
    """The oracle's manager, from now on."""

    manager: Felt


class NominateManager(Struct, frozen=True, gc=False):
    """Who may accept to become the manager."""

    pending_manager: Felt


# --- the vToken ----------------------------------------------------------------------------


class Transfer(Struct, frozen=True, gc=False, rename={"sender": "from", "recipient": "to"}):
    """vTokens change hands; 0x0 on one side means minted or burned."""

    sender: Felt
    recipient: Felt
    value: int


class Approval(Struct, frozen=True, gc=False):
    """An allowance."""

    owner: Felt
    spender: Felt
    value: int


class Deposit(Struct, frozen=True, gc=False):
    """Assets supplied for vTokens."""

    sender: Felt
    owner: Felt
    assets: int
    shares: int


class Withdraw(Struct, frozen=True, gc=False):
    """vTokens redeemed for assets."""

    sender: Felt
    receiver: Felt
    owner: Felt
    assets: int
    shares: int


# --- any other -----------------------------------------------------------------------------


class AbiEvent(Struct, frozen=True, gc=False):
    """An event of a kind without hand-written types, decoded by its ABI."""

    name: str
    args: dict[str, Any]


VesuEvent = Struct


def name_of(event: VesuEvent) -> str:
    """The event's name in its ABI."""
    return event.name if isinstance(event, AbiEvent) else type(event).__name__


def to_args(event: VesuEvent) -> dict[str, Any]:
    """Arguments as JSON holds them: felts as 0x and 64 digits, numbers as decimal text.

    What the event does not tell is left out.
    """
    if isinstance(event, AbiEvent):
        return event.args
    return {
        shown: show(value)
        for field, shown, show in _shown_as(type(event))
        if (value := getattr(event, field)) is not None
    }


def padded(felt: int) -> str:
    """A felt as tables and arguments hold it: 0x and 64 lower-case hex digits."""
    return f"0x{felt:064x}"


def _as_is(value: Any) -> Any:
    return value


_SHOW: dict[str, Callable[[Any], Any]] = {
    "Felt": padded,
    "int": str,
    "int | None": str,
    "bool": _as_is,
    "str": text.storable,
}
"""How a field is shown, by its annotation; what stands not here is a struct."""


@functools.cache
def _shown_as(type_: type[Struct]) -> tuple[tuple[str, str, Callable[[Any], Any]], ...]:
    """(field, its name in the ABI, how its value is shown) of each field."""
    names = zip(type_.__struct_fields__, type_.__struct_encode_fields__, strict=True)
    return tuple(
        (field, shown, _SHOW.get(type_.__annotations__[field], to_args)) for field, shown in names
    )
