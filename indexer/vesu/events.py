"""Typed events. All felts, addresses and integers are Python ints; ByteArrays are text.

Field names are the ABI's, but for `from` and `to` of a transfer, which are Python's keywords
or too short to search for. u256 and i257 are plain ints, i257 signed.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Struct(msgspec.Struct, frozen=True, gc=False):
    """Base of all events and of the structs inside them."""


# --- structs inside events -----------------------------------------------------------------


class AssetConfig(Struct):
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


class AssetPrice(Struct):
    """An oracle price in USD x 10^18, and whether the oracle calls it valid."""

    value: int
    is_valid: bool


class InterestRateConfig(Struct):
    """The rate model. Utilisations x 10^5, rates per second x 10^18, half-life in seconds."""

    min_target_utilization: int
    max_target_utilization: int
    target_utilization: int
    min_full_utilization_rate: int
    max_full_utilization_rate: int
    zero_utilization_rate: int
    rate_half_life: int
    target_rate_percent: int


class PairConfig(Struct):
    """A pair's limits: LTV and factor x 10^18, cap in raw units of the debt asset."""

    max_ltv: int
    liquidation_factor: int
    debt_cap: int


class OracleConfig(Struct):
    """How an asset's price is read from Pragma."""

    pragma_key: int
    timeout: int
    number_of_sources: int
    start_time_offset: int
    time_window: int
    aggregation_mode: int


# --- the pool ------------------------------------------------------------------------------


class UpdateContext(Struct):
    """Both assets' full state after an action, and the prices that it used."""

    collateral_asset: int
    debt_asset: int
    collateral_asset_config: AssetConfig
    debt_asset_config: AssetConfig
    collateral_asset_price: AssetPrice
    debt_asset_price: AssetPrice


class ModifyPosition(Struct):
    """A position's change; deltas in raw units, shares and nominal debt."""

    collateral_asset: int
    debt_asset: int
    user: int
    collateral_delta: int
    collateral_shares_delta: int
    debt_delta: int
    nominal_debt_delta: int


class LiquidatePosition(Struct):
    """A liquidation; `debt_delta` is negative and includes `bad_debt`."""

    collateral_asset: int
    debt_asset: int
    user: int
    liquidator: int
    collateral_delta: int
    collateral_shares_delta: int
    debt_delta: int
    nominal_debt_delta: int
    bad_debt: int


class Flashloan(Struct):
    """A flash loan: no state changes."""

    sender: int
    receiver: int
    asset: int
    amount: int


class ModifyDelegation(Struct):
    """A right to act for somebody, given or taken."""

    delegator: int
    delegatee: int
    delegation: bool


class Donate(Struct):
    """Raw units given to an asset's reserve."""

    asset: int
    amount: int


class SetAssetConfig(Struct):
    """An asset's full state, at its addition and after each parameter change."""

    asset: int
    asset_config: AssetConfig


class SetOracle(Struct):
    """The pool's new oracle contract."""

    oracle: int


class SetPairConfig(Struct):
    """A pair's full configuration."""

    collateral_asset: int
    debt_asset: int
    pair_config: PairConfig


class SetInterestRateConfig(Struct):
    """An asset's full rate model; nested under InterestRateModelEvents."""

    asset: int
    interest_rate_config: InterestRateConfig


class ClaimFees(Struct):
    """Fee shares burned and the raw units paid for them."""

    asset: int
    recipient: int
    fee_shares: int
    fee_amount: int


class SetFeeRecipient(Struct):
    """Who may claim the fees."""

    fee_recipient: int


class SetPausingAgent(Struct):
    """Who may pause the pool."""

    agent: int


class SetCurator(Struct):
    """The curator, from now on."""

    curator: int


class NominateCurator(Struct):
    """Who may accept to become the curator."""

    pending_curator: int


class ContractPaused(Struct):
    """The pool is paused."""

    account: int


class ContractUnpaused(Struct):
    """The pool is no longer paused."""

    account: int


class ContractUpgraded(Struct):
    """The contract runs another class from now on."""

    new_implementation: int


class OwnershipTransferred(Struct):
    """A new owner."""

    previous_owner: int
    new_owner: int


class OwnershipTransferStarted(Struct):
    """An owner to be, who must accept."""

    previous_owner: int
    new_owner: int


# --- the factory ---------------------------------------------------------------------------


class CreatePool(Struct):
    """A pool is created; `curator` is only nominated. `name` is a short string's felt."""

    pool: int
    name: int
    owner: int
    curator: int
    oracle: int


class AddAsset(Struct):
    """An asset is added to a pool through the factory."""

    pool: int
    asset: int


class CreateVToken(Struct):
    """A vToken is deployed for a pool's asset."""

    pool: int
    asset: int
    v_token: int
    v_token_name: str
    v_token_symbol: str


class UpdateVToken(Struct):
    """A pool's asset gets another vToken; the old one stays redeemable."""

    pool: int
    asset: int
    prev_v_token: int
    new_v_token: int


class CreateOracle(Struct):
    """An oracle contract is deployed."""

    oracle: int
    manager: int


# --- the oracle ----------------------------------------------------------------------------


class SetOracleConfig(Struct):
    """How an asset's price is read from now on."""

    asset: int
    oracle_config: OracleConfig


class SetManager(Struct):
    """The oracle's manager, from now on."""

    manager: int


class NominateManager(Struct):
    """Who may accept to become the manager."""

    pending_manager: int


# --- the vToken ----------------------------------------------------------------------------


class Transfer(Struct, rename={"sender": "from", "recipient": "to"}):
    """vTokens change hands; 0x0 on one side means minted or burned."""

    sender: int
    recipient: int
    value: int


class Approval(Struct):
    """An allowance."""

    owner: int
    spender: int
    value: int


class Deposit(Struct):
    """Assets supplied for vTokens."""

    sender: int
    owner: int
    assets: int
    shares: int


class Withdraw(Struct):
    """vTokens redeemed for assets."""

    sender: int
    receiver: int
    owner: int
    assets: int
    shares: int


# --- any other -----------------------------------------------------------------------------


class AbiEvent(Struct):
    """An event of a kind without hand-written types, decoded by its ABI."""

    name: str
    args: dict[str, Any]


VesuEvent = Struct

_FELT_FIELDS = frozenset(
    ["collateral_asset", "debt_asset", "user", "liquidator", "sender", "receiver", "asset", "delegator", "delegatee", "oracle", "recipient", "fee_recipient", "agent", "curator", "pending_curator", "account", "new_implementation", "previous_owner", "new_owner", "pool", "name", "owner", "v_token", "prev_v_token", "new_v_token", "manager", "pending_manager", "spender", "pragma_key"]
)
"""Fields that hold an address, a class hash or a felt, shown as hex; the rest are numbers."""


def name_of(event: VesuEvent) -> str:
    """The event's name in its ABI."""
    return event.name if isinstance(event, AbiEvent) else type(event).__name__


def to_args(event: VesuEvent) -> dict[str, Any]:
    """Arguments as JSON holds them: felts as 0x and 64 digits, numbers as decimal text."""
    if isinstance(event, AbiEvent):
        return event.args
    names = zip(event.__struct_fields__, event.__struct_encode_fields__, strict=True)
    return {shown: _shown(field, getattr(event, field)) for field, shown in names}


def _shown(field: str, value: Any) -> Any:
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, Struct):
        return to_args(value)
    return f"0x{value:064x}" if field in _FELT_FIELDS else str(value)
