"""The contracts' own views of what the tables hold: what to ask, and what an answer says.

Every view accrues to the time of the block that it is asked at (facts: docs/protocol.md). A
result's fields carry the names of the columns that they are compared with; V1 is asked on its
singleton and extension, with the pool's id first, and by the `_unsafe` views, which take no
lock and migrate nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from indexer.cairo import types, view_call
from indexer.vesu import kinds, state

U256 = "u256"
FELT = "felt"
BOOL = "bool"
_FELTS = {U256: 2, FELT: 1, BOOL: 1}

ViewCall = view_call.ViewCall


class View(NamedTuple):
    """A view's name, and its result: the column and type of each value, in order."""

    name: str
    result: tuple[tuple[str, str], ...]


class PoolContracts(NamedTuple):
    """The contracts that answer a pool's views. V2: the pool, and `pool_id` None.

    V1: `state` is the singleton, `settings` the extension, and `pool_id` the first argument.
    `settings` is None where the extension is a stranger, as while a pool migrates. Genesis'
    extension knows no debt caps.
    """

    state: int
    settings: int | None
    pool_id: int | None = None
    has_debt_caps: bool = True

    @property
    def first(self) -> tuple[int, ...]:
        """The arguments that stand before a view's own."""
        return () if self.pool_id is None else (self.pool_id,)


Extensions = Mapping[int, kinds.Kind]
"""V1's extensions that are known, by address."""


def contracts_of(world: state.World, pool: state.PoolKey, extensions: Extensions) -> PoolContracts:
    """The contracts that answer the views of a pool."""
    if pool.address == pool.id:
        return PoolContracts(pool.address, pool.address)
    contract = world.pools.get(pool)
    extension = contract.extension if contract else None
    kind = extensions.get(extension or 0)
    return PoolContracts(
        pool.address,
        extension if kind is not None else None,
        pool.id,
        kind is not kinds.Kind.EXTENSION_V1_0_GENESIS,
    )


_ASSET_CONFIG = (
    ("total_collateral_shares", U256),
    ("total_nominal_debt", U256),
    ("reserve", U256),
    ("max_utilization", U256),
    ("floor", U256),
    ("scale", U256),
    ("is_legacy", BOOL),
    ("last_updated", FELT),
    ("last_rate_accumulator", U256),
    ("last_full_utilization_rate", U256),
    ("fee_rate", U256),
)
_POSITION = (
    ("collateral_shares", U256),
    ("nominal_debt", U256),
    ("collateral_raw", U256),
    ("debt_raw", U256),
)
_COLLATERALIZATION = (
    ("is_collateralized", BOOL),
    ("collateral_value_usd", U256),
    ("debt_value_usd", U256),
)

PRICE = View("price", (("price", U256), ("price_is_valid", BOOL)))
RATE_MODEL = View(
    "interest_rate_config",
    tuple(
        (column, U256)
        for column in (
            "min_target_utilization",
            "max_target_utilization",
            "target_utilization",
            "min_full_utilization_rate",
            "max_full_utilization_rate",
            "zero_utilization_rate",
            "rate_half_life",
            "target_rate_percent",
        )
    ),
)
PAIRS = View("pairs", (("pair_collateral_shares", U256), ("pair_nominal_debt", U256)))

ASSET_V2 = View("asset_config", (*_ASSET_CONFIG, ("fee_shares", U256)))
PAIR_V2 = View(
    "pair_config",
    (("max_ltv_raw", FELT), ("liquidation_factor_raw", FELT), ("debt_cap_raw", FELT)),
)
POSITION_V2 = View("position", _POSITION)
COLLATERALIZATION_V2 = View("check_collateralization", _COLLATERALIZATION)
SETTINGS_V2 = tuple(
    View(column, ((column, BOOL if column.startswith("is_") else FELT),))
    for column in ("owner", "curator", "oracle", "fee_recipient", "pausing_agent", "is_paused")
)

# V1 answers (AssetConfig, fee shares that the accrual mints): those are not the asset's state.
ASSET_V1 = View("asset_config_unsafe", (*_ASSET_CONFIG, ("minted_fee_shares", U256)))
LTV_V1 = View("ltv_config", (("max_ltv_raw", FELT),))
LIQUIDATION_V1 = View("liquidation_config", (("liquidation_factor_raw", FELT),))
DEBT_CAP_V1 = View("debt_caps", (("debt_cap_raw", U256),))
POSITION_V1 = View("position_unsafe", _POSITION)
COLLATERALIZATION_V1 = View("check_collateralization_unsafe", _COLLATERALIZATION)

EXTENSION_V1 = View("extension", (("extension", FELT),))
OWNER_V1 = View("pool_owner", (("owner", FELT),))
FEE_RECIPIENT_V1 = View("fee_config", (("fee_recipient", FELT),))

BALANCE = View("balance_of", (("vtoken_balance_raw", U256),))
SUPPLY = View("total_supply", (("total_supply", U256),))
WORTH = View("convert_to_assets", (("collateral_raw", U256),))

PRICED = frozenset({PRICE.name, COLLATERALIZATION_V2.name, COLLATERALIZATION_V1.name})
"""Views that ask the oracle, which refuses where it has no price to tell."""


BY_NAME = {
    view.name: view
    for view in (
        PRICE,
        RATE_MODEL,
        PAIRS,
        ASSET_V2,
        PAIR_V2,
        POSITION_V2,
        COLLATERALIZATION_V2,
        *SETTINGS_V2,
        ASSET_V1,
        LTV_V1,
        LIQUIDATION_V1,
        DEBT_CAP_V1,
        POSITION_V1,
        COLLATERALIZATION_V1,
        EXTENSION_V1,
        OWNER_V1,
        FEE_RECIPIENT_V1,
        BALANCE,
        SUPPLY,
        WORTH,
    )
}
"""Every view above; no two have the same name."""


def read(name: str, felts: Sequence[int]) -> dict[str, int]:
    """The values that a view of this name answers, by column; bools as 0 and 1.

    ValueError where the felts are not what the view's result is made of: another class.
    """
    view = BY_NAME[name]
    if len(felts) != sum(_FELTS[type_] for _, type_ in view.result):
        raise ValueError(f"{view.name} answered {len(felts)} felts")
    values, offset = {}, 0
    for column, type_ in view.result:
        if type_ == U256:
            values[column] = types.u256(felts[offset], felts[offset + 1])
        else:
            values[column] = int(types.boolean(felts[offset])) if type_ == BOOL else felts[offset]
        offset += _FELTS[type_]
    return values


def of_asset(block: int, contracts: PoolContracts, asset: int) -> tuple[ViewCall, ...]:
    """Asset configuration (accrued), rate model and oracle price of a pool's asset."""
    view = ASSET_V2 if contracts.pool_id is None else ASSET_V1
    config = ViewCall(block, contracts.state, view.name, (*contracts.first, asset))
    return config, *model_of(block, contracts, asset), *price_of(block, contracts, asset)


def model_of(block: int, contracts: PoolContracts, asset: int) -> tuple[ViewCall, ...]:
    """The rate model of a pool's asset."""
    if contracts.settings is None:
        return ()
    return (ViewCall(block, contracts.settings, RATE_MODEL.name, (*contracts.first, asset)),)


def price_of(block: int, contracts: PoolContracts, asset: int) -> tuple[ViewCall, ...]:
    """The oracle's price of a pool's asset, x 10^18, and whether the pool trusts it."""
    if contracts.settings is None:
        return ()
    return (ViewCall(block, contracts.settings, PRICE.name, (*contracts.first, asset)),)


def of_pair(
    block: int, contracts: PoolContracts, collateral: int, debt: int
) -> tuple[ViewCall, ...]:
    """Configuration and totals of a pool's pair."""
    arguments = (*contracts.first, collateral, debt)
    view = PAIR_V2 if contracts.pool_id is None else LTV_V1
    config = ViewCall(block, contracts.state, view.name, arguments)
    if contracts.settings is None:
        return (config,)
    totals = ViewCall(block, contracts.settings, PAIRS.name, arguments)
    if contracts.pool_id is None:
        return config, totals
    factor = ViewCall(block, contracts.settings, LIQUIDATION_V1.name, arguments)
    if not contracts.has_debt_caps:
        return config, factor, totals
    cap = ViewCall(block, contracts.settings, DEBT_CAP_V1.name, arguments)
    return config, factor, cap, totals


def of_position(
    block: int, contracts: PoolContracts, collateral: int, debt: int, user: int
) -> tuple[ViewCall, ...]:
    """Holdings, amounts and collateralisation of a position in the contract."""
    arguments = (*contracts.first, collateral, debt, user)
    if contracts.pool_id is None:
        return (
            ViewCall(block, contracts.state, POSITION_V2.name, arguments),
            ViewCall(block, contracts.state, COLLATERALIZATION_V2.name, arguments),
        )
    return (
        ViewCall(block, contracts.state, POSITION_V1.name, arguments),
        ViewCall(block, contracts.state, COLLATERALIZATION_V1.name, arguments),
    )


def of_settings(block: int, contracts: PoolContracts) -> tuple[ViewCall, ...]:
    """Settings of a pool."""
    if contracts.pool_id is None:
        return tuple(ViewCall(block, contracts.state, view.name) for view in SETTINGS_V2)
    extension = ViewCall(block, contracts.state, EXTENSION_V1.name, contracts.first)
    if contracts.settings is None:
        return (extension,)
    return (
        extension,
        ViewCall(block, contracts.settings, OWNER_V1.name, contracts.first),
        ViewCall(block, contracts.settings, FEE_RECIPIENT_V1.name, contracts.first),
    )


def balance_of(block: int, v_token: int, holder: int) -> ViewCall:
    """A holder's balance of a vToken."""
    return ViewCall(block, v_token, BALANCE.name, (holder,))


def supply_of(block: int, v_token: int) -> ViewCall:
    """The sum of all balances of a vToken."""
    return ViewCall(block, v_token, SUPPLY.name)


def worth_of(block: int, v_token: int, balance: int) -> ViewCall:
    """Raw units of the underlying asset that a balance of a vToken stands for."""
    limb = 1 << types.LIMB_BITS
    return ViewCall(block, v_token, WORTH.name, (balance % limb, balance // limb))
