"""Typed events of Vesu V1's singletons and extensions, those that the fold reads.

Names and fields are the ABI's. vToken, upgrade and ownership events are those of `events`.
"""

from __future__ import annotations

from indexer.vesu import events

Felt = events.Felt


# --- structs inside events -----------------------------------------------------------------


class AssetConfig(events.Struct, frozen=True, gc=False):
    """V1's AssetConfig: 20 felts, without fee shares. Units: `maths`."""

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


class LTVConfig(events.Struct, frozen=True, gc=False):
    """A pair's loan-to-value limit x 10^18."""

    max_ltv: int


class LiquidationConfig(events.Struct, frozen=True, gc=False):
    """A pair's liquidation factor x 10^18, as given: 0 is stored as one."""

    liquidation_factor: int


class ShutdownConfig(events.Struct, frozen=True, gc=False):
    """How long a pool stays in recovery and in subscription, in seconds."""

    recovery_period: int
    subscription_period: int


class FeeConfig(events.Struct, frozen=True, gc=False):
    """Who receives a pool's fees."""

    fee_recipient: Felt


# --- the singleton -------------------------------------------------------------------------


class CreatePool(events.Struct, frozen=True, gc=False):
    """A pool is created, or taken over from V1.0."""

    pool_id: Felt
    extension: Felt
    creator: Felt


class SetExtension(events.Struct, frozen=True, gc=False):
    """The contract that decides on a pool's prices, rates and limits from now on."""

    pool_id: Felt
    extension: Felt


class SetAssetConfig(events.Struct, frozen=True, gc=False):
    """An asset is added to a pool; the event carries no configuration."""

    pool_id: Felt
    asset: Felt


class SetAssetParameter(events.Struct, frozen=True, gc=False):
    """One of an asset's parameters; `parameter` is a short string's felt."""

    pool_id: Felt
    asset: Felt
    parameter: Felt
    value: int


class SetLTVConfig(events.Struct, frozen=True, gc=False):
    """A pair's loan-to-value limit."""

    pool_id: Felt
    collateral_asset: Felt
    debt_asset: Felt
    ltv_config: LTVConfig


class UpdateContext(events.Struct, frozen=True, gc=False):
    """Both assets' full state after an action, and the prices that it used."""

    pool_id: Felt
    collateral_asset: Felt
    debt_asset: Felt
    collateral_asset_config: AssetConfig
    debt_asset_config: AssetConfig
    collateral_asset_price: events.AssetPrice
    debt_asset_price: events.AssetPrice


class AccrueFees(events.Struct, frozen=True, gc=False):
    """Fee shares of an accrual, given to the extension's position without debt."""

    pool_id: Felt
    asset: Felt
    recipient: Felt
    fee_shares: int


class ModifyPosition(events.Struct, frozen=True, gc=False):
    """A position's change; deltas in raw units, shares and nominal debt."""

    pool_id: Felt
    collateral_asset: Felt
    debt_asset: Felt
    user: Felt
    collateral_delta: int
    collateral_shares_delta: int
    debt_delta: int
    nominal_debt_delta: int


class TransferPosition(events.Struct, frozen=True, gc=False):
    """What moves from one position to another, negative; V1.0 does not tell (None)."""

    pool_id: Felt
    from_collateral_asset: Felt
    from_debt_asset: Felt
    to_collateral_asset: Felt
    to_debt_asset: Felt
    from_user: Felt
    to_user: Felt
    collateral_delta: int | None = None
    collateral_shares_delta: int | None = None
    debt_delta: int | None = None
    nominal_debt_delta: int | None = None


class LiquidatePosition(events.Struct, frozen=True, gc=False):
    """A liquidation; `debt_delta` is negative and includes `bad_debt`."""

    pool_id: Felt
    collateral_asset: Felt
    debt_asset: Felt
    user: Felt
    liquidator: Felt
    collateral_delta: int
    collateral_shares_delta: int
    debt_delta: int
    nominal_debt_delta: int
    bad_debt: int


class MigratePosition(
    events.Struct, frozen=True, gc=False, rename={"sender": "from", "recipient": "to"}
):
    """V1.1 takes a position over from V1.0; with nothing in it, if there was none."""

    pool_id: Felt
    collateral_asset: Felt
    debt_asset: Felt
    sender: Felt
    recipient: Felt
    collateral_shares: int
    nominal_debt: int


class Donate(events.Struct, frozen=True, gc=False):
    """Raw units given to an asset's reserve."""

    pool_id: Felt
    asset: Felt
    amount: int


class RetrieveReserve(events.Struct, frozen=True, gc=False):
    """Raw units taken out of an asset's reserve; how many, the event does not tell."""

    pool_id: Felt
    asset: Felt
    receiver: Felt


# --- the extension -------------------------------------------------------------------------


class SetPoolOwner(events.Struct, frozen=True, gc=False):
    """A pool's owner, from now on."""

    pool_id: Felt
    owner: Felt


class SetInterestRateConfig(events.Struct, frozen=True, gc=False):
    """An asset's rate model at its addition; later changes emit nothing."""

    pool_id: Felt
    asset: Felt
    interest_rate_config: events.InterestRateConfig


class SetLiquidationConfig(events.Struct, frozen=True, gc=False):
    """A pair's liquidation factor."""

    pool_id: Felt
    collateral_asset: Felt
    debt_asset: Felt
    liquidation_config: LiquidationConfig


class SetDebtCap(events.Struct, frozen=True, gc=False):
    """A pair's debt cap in raw units of the debt asset."""

    pool_id: Felt
    collateral_asset: Felt
    debt_asset: Felt
    debt_cap: int


class SetShutdownConfig(events.Struct, frozen=True, gc=False):
    """A pool's waiting periods, from now on."""

    pool_id: Felt
    shutdown_config: ShutdownConfig


class SetShutdownLTVConfig(events.Struct, frozen=True, gc=False):
    """A pair's loan-to-value above which its pool goes into recovery."""

    pool_id: Felt
    collateral_asset: Felt
    debt_asset: Felt
    shutdown_ltv_config: LTVConfig


class SetShutdownMode(events.Struct, frozen=True, gc=False):
    """V1.1b: a pool's owner or agent set a mode; its class tells the one before it."""

    pool_id: Felt
    shutdown_mode: int
    last_updated: int


class SetFeeConfig(events.Struct, frozen=True, gc=False):
    """Who receives a pool's fees, from now on."""

    pool_id: Felt
    fee_config: FeeConfig


class CreateVToken(events.Struct, frozen=True, gc=False):
    """A vToken is deployed for a pool's asset."""

    v_token: Felt
    pool_id: Felt
    collateral_asset: Felt
