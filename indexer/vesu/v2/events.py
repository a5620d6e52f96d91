"""Typed events of Vesu V2: the pool, its factory and its oracle.

Field names are the ABI's. All felts, addresses and integers are Python ints.
"""

from __future__ import annotations

from indexer.vesu import events

Felt = events.Felt


class AssetConfig(events.Struct, frozen=True, gc=False):
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


class PairConfig(events.Struct, frozen=True, gc=False):
    """A pair's limits: LTV and factor x 10^18, cap in raw units of the debt asset."""

    max_ltv: int
    liquidation_factor: int
    debt_cap: int


class OracleConfig(events.Struct, frozen=True, gc=False):
    """How an asset's price is read from Pragma."""

    pragma_key: Felt
    timeout: int
    number_of_sources: int
    start_time_offset: int
    time_window: int
    aggregation_mode: int


# --- the pool ------------------------------------------------------------------------------


class UpdateContext(events.Struct, frozen=True, gc=False):
    """Both assets' full state after an action, and the prices that it used."""

    collateral_asset: Felt
    debt_asset: Felt
    collateral_asset_config: AssetConfig
    debt_asset_config: AssetConfig
    collateral_asset_price: events.AssetPrice
    debt_asset_price: events.AssetPrice


class ModifyPosition(events.Struct, frozen=True, gc=False):
    """A position's change; deltas in raw units, shares and nominal debt."""

    collateral_asset: Felt
    debt_asset: Felt
    user: Felt
    collateral_delta: int
    collateral_shares_delta: int
    debt_delta: int
    nominal_debt_delta: int


class LiquidatePosition(events.Struct, frozen=True, gc=False):
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


class Flashloan(events.Struct, frozen=True, gc=False):
    """A flash loan: no state changes."""

    sender: Felt
    receiver: Felt
    asset: Felt
    amount: int


class ModifyDelegation(events.Struct, frozen=True, gc=False):
    """A right to act for somebody, given or taken."""

    delegator: Felt
    delegatee: Felt
    delegation: bool


class Donate(events.Struct, frozen=True, gc=False):
    """Raw units given to an asset's reserve."""

    asset: Felt
    amount: int


class SetAssetConfig(events.Struct, frozen=True, gc=False):
    """An asset's full state, at its addition and after each parameter change."""

    asset: Felt
    asset_config: AssetConfig


class SetOracle(events.Struct, frozen=True, gc=False):
    """The pool's new oracle contract."""

    oracle: Felt


class SetPairConfig(events.Struct, frozen=True, gc=False):
    """A pair's full configuration."""

    collateral_asset: Felt
    debt_asset: Felt
    pair_config: PairConfig


class SetInterestRateConfig(events.Struct, frozen=True, gc=False):
    """An asset's full rate model; nested under InterestRateModelEvents."""

    asset: Felt
    interest_rate_config: events.InterestRateConfig


class ClaimFees(events.Struct, frozen=True, gc=False):
    """Fee shares burned and the raw units paid for them."""

    asset: Felt
    recipient: Felt
    fee_shares: int
    fee_amount: int


class SetFeeRecipient(events.Struct, frozen=True, gc=False):
    """Who may claim the fees."""

    fee_recipient: Felt


class SetPausingAgent(events.Struct, frozen=True, gc=False):
    """Who may pause the pool."""

    agent: Felt


class SetCurator(events.Struct, frozen=True, gc=False):
    """The curator, from now on."""

    curator: Felt


class NominateCurator(events.Struct, frozen=True, gc=False):
    """Who may accept to become the curator."""

    pending_curator: Felt


class ContractPaused(events.Struct, frozen=True, gc=False):
    """The pool is paused."""

    account: Felt


class ContractUnpaused(events.Struct, frozen=True, gc=False):
    """The pool is no longer paused."""

    account: Felt


# --- the factory ---------------------------------------------------------------------------


class CreatePool(events.Struct, frozen=True, gc=False):
    """A pool is created; `curator` is only nominated. `name` is a short string's felt."""

    pool: Felt
    name: Felt
    owner: Felt
    curator: Felt
    oracle: Felt


class AddAsset(events.Struct, frozen=True, gc=False):
    """An asset is added to a pool through the factory."""

    pool: Felt
    asset: Felt


class CreateVToken(events.Struct, frozen=True, gc=False):
    """A vToken is deployed for a pool's asset."""

    pool: Felt
    asset: Felt
    v_token: Felt
    v_token_name: str
    v_token_symbol: str


class UpdateVToken(events.Struct, frozen=True, gc=False):
    """A pool's asset gets another vToken; the old one stays redeemable."""

    pool: Felt
    asset: Felt
    prev_v_token: Felt
    new_v_token: Felt


class CreateOracle(events.Struct, frozen=True, gc=False):
    """An oracle contract is deployed."""

    oracle: Felt
    manager: Felt


# --- the oracle ----------------------------------------------------------------------------


class SetOracleConfig(events.Struct, frozen=True, gc=False):
    """How an asset's price is read from now on."""

    asset: Felt
    oracle_config: OracleConfig


class SetManager(events.Struct, frozen=True, gc=False):
    """The oracle's manager, from now on."""

    manager: Felt


class NominateManager(events.Struct, frozen=True, gc=False):
    """Who may accept to become the manager."""

    pending_manager: Felt
