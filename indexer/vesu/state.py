"""The protocol's state as the fold keeps it: contracts, assets, pairs, positions.

Keys are tuples of integers, values are frozen, a change replaces the whole value. `World`
holds all contracts, assets and pairs (a few thousand at most) and only those positions that
the batch in hand touches.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from indexer.vesu import accrual, kinds


class EventKey(NamedTuple):
    """Where an event stands in the chain's total order."""

    block_number: int
    transaction_index: int
    event_index: int


class PoolKey(NamedTuple):
    """A pool: the contract that holds it, and its id there. V2: a pool is its own contract."""

    address: int
    id: int


def v2_pool(address: int) -> PoolKey:
    """The key of a V2 pool."""
    return PoolKey(address, address)


class AssetKey(NamedTuple):
    """One asset of one pool."""

    pool: PoolKey
    asset: int


class PairKey(NamedTuple):
    """One (collateral, debt) pair of one pool."""

    pool: PoolKey
    collateral: int
    debt: int


class PositionKey(NamedTuple):
    """One position: in the contract (`v_token` 0), or a vToken holding (`debt` 0)."""

    pool: PoolKey
    collateral: int
    debt: int
    v_token: int
    user: int


class ContractState(msgspec.Struct, frozen=True, gc=False):
    """A contract of ours and its settings. Fields that its kind does not have stay None.

    `pool` is the pool that a vToken belongs to, or the pool itself. `is_current` is False
    for a vToken that another one has replaced; it stays redeemable.
    """

    kind: kinds.Kind
    pool: PoolKey | None = None
    asset: int | None = None
    debt_asset: int | None = None
    name: str | None = None
    symbol: str | None = None
    owner: int | None = None
    curator: int | None = None
    oracle: int | None = None
    fee_recipient: int | None = None
    pausing_agent: int | None = None
    class_hash: int | None = None
    is_paused: bool = False
    is_current: bool = True
    created_block: int = 0
    created_at: int = 0
    last_event_block: int = 0


class PairState(msgspec.Struct, frozen=True, gc=False):
    """A pair's configuration and totals. LTV and factor scaled by 10^18; cap in raw units."""

    max_ltv: int = 0
    liquidation_factor: int = 0
    debt_cap: int = 0
    total_collateral_shares: int = 0
    total_nominal_debt: int = 0
    is_configured: bool = False
    block_number: int = 0
    created_at: int = 0
    updated_at: int = 0


class PositionState(msgspec.Struct, frozen=True, gc=False):
    """A position's exact holdings: shares and nominal debt, or a vToken balance."""

    kind: str
    collateral_shares: int = 0
    nominal_debt: int = 0
    vtoken_balance: int = 0
    status: str = "active"
    created_at: int = 0
    last_updated: int = 0
    last_event_block: int = 0

    @property
    def is_empty(self) -> bool:
        """Nothing is held and nothing is owed."""
        return not (self.collateral_shares or self.nominal_debt or self.vtoken_balance)


class TransactionEffect(NamedTuple):
    """One row of vesu_transactions before it is written. `amount` is signed, in raw units."""

    at: EventKey
    leg: int
    position: PositionKey
    type: str
    asset: int
    amount: int


class LiquidationEffect(NamedTuple):
    """One row of vesu_liquidations before it is written. Amounts in raw units, prices x 10^18.

    `bonus` is what the liquidator received beyond what was paid, in collateral units at the
    prices of the liquidation's own context; negative where it received less.
    """

    at: EventKey
    position: PositionKey
    liquidator: int
    collateral_seized: int
    debt_repaid: int
    bad_debt: int
    bonus: int
    collateral_price: int
    debt_price: int


class Journal(msgspec.Struct):
    """What a fold changed, in chain order: one entry an event and row.

    `refused` holds the events that were left out, and why.
    """

    contracts: list[tuple[EventKey, int, ContractState]] = []
    assets: list[tuple[EventKey, AssetKey, accrual.AssetState]] = []
    pairs: list[tuple[EventKey, PairKey, PairState]] = []
    positions: list[tuple[EventKey, PositionKey, PositionState]] = []
    transactions: list[TransactionEffect] = []
    liquidations: list[LiquidationEffect] = []
    refused: list[tuple[EventKey, str]] = []


class World(msgspec.Struct):
    """The state that a fold reads and replaces."""

    contracts: dict[int, ContractState] = {}
    assets: dict[AssetKey, accrual.AssetState] = {}
    pairs: dict[PairKey, PairState] = {}
    positions: dict[PositionKey, PositionState] = {}
