"""The protocol's state as the fold keeps it: contracts, assets, pairs, positions.

Keys are tuples of integers, values are frozen, a change replaces the whole value. `World`
holds all contracts, assets and pairs (a few thousand at most) and only those positions that
the batch in hand touches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from indexer.cairo import view_call
from indexer.vesu import accrual, kinds, maths, refusals


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


Answers = Mapping[view_call.ViewCall, tuple[int, ...] | None]
"""The felts that views answered; None where the contract refused."""


Violation = tuple[int, int, int]
"""Collateral and debt asset of a V1 pair that violates its pool's rules, and since when."""


class ContractState(msgspec.Struct, frozen=True, gc=False):
    """A contract of ours, or a pool inside a V1 singleton, and its settings.

    Fields that its kind does not have stay None. `pool` is the pool that a vToken belongs to,
    or the pool itself. `is_current` is False for a vToken that another one has replaced; it
    stays redeemable. `quarantine_reason` says why a pool is frozen. Of V1 alone: `extension` is
    the contract that decides for a pool; `successor` the V1.1 singleton that took a V1.0 pool
    over; `variants` what a singleton's class may compute with, the likeliest first, and
    `variant_votes` those that fit what a pool told, by the pool's id. A V1 pool's shutdown:
    `recovery_period` and `subscription_period` in seconds, `violations` the oldest first, and
    `shutdown_mode` the mode that its owner set, or that the contract told otherwise than these
    times say (NONE: they decide).
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
    extension: int | None = None
    successor: int | None = None
    quarantine_reason: str | None = None
    variants: tuple[maths.Variant, ...] | None = None
    variant_votes: tuple[tuple[int, tuple[maths.Variant, ...]], ...] = ()
    recovery_period: int = 0
    subscription_period: int = 0
    shutdown_mode: refusals.ShutdownMode = refusals.ShutdownMode.NONE
    violations: tuple[Violation, ...] = ()
    is_paused: bool = False
    is_current: bool = True
    created_block: int = 0
    created_at: int = 0
    last_event_block: int = 0


class PairState(msgspec.Struct, frozen=True, gc=False):
    """A pair's configuration and totals. LTV and factor scaled by 10^18; cap in raw units.

    `shutdown_ltv`: V1's limit above which the pool goes into recovery; None: there is none.
    """

    max_ltv: int = 0
    liquidation_factor: int = 0
    debt_cap: int = 0
    total_collateral_shares: int = 0
    total_nominal_debt: int = 0
    is_configured: bool = False
    shutdown_ltv: int | None = None
    block_number: int = 0
    created_at: int = 0
    updated_at: int = 0


class PositionState(msgspec.Struct, frozen=True, gc=False):
    """A position's exact holdings: shares and nominal debt, or a vToken balance.

    `migrated_block`: since when V1.1 holds what this V1.0 position held. The V1.0 contract
    keeps the numbers, and so does this; they are worth nothing any more.
    """

    kind: str
    collateral_shares: int = 0
    nominal_debt: int = 0
    vtoken_balance: int = 0
    status: str = "active"
    created_at: int = 0
    last_updated: int = 0
    last_event_block: int = 0
    migrated_block: int | None = None


class TransactionEffect(NamedTuple):
    """One row of vesu_transactions before it is written. `amount` is signed, in raw units."""

    event_key: EventKey
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

    event_key: EventKey
    position: PositionKey
    liquidator: int
    collateral_seized: int
    debt_repaid: int
    bad_debt: int
    bonus: int
    collateral_price: int
    debt_price: int


class TransferAmounts(NamedTuple):
    """What a transfer moved from one position to another; `doubt` says why it may not be so."""

    shares: int
    nominal_debt: int
    doubt: str = ""


class Mismatch(NamedTuple):
    """An accrual that the chain tells otherwise than the fold predicted it.

    `field` names what differs; `explanation` what was found out about it.
    """

    event_key: EventKey
    asset: AssetKey
    variant: maths.Variant
    field: str
    predicted: int
    reported: int
    explanation: str


class Journal(msgspec.Struct):
    """What a fold changed, in chain order: one entry an event and row.

    `refused` holds the events that were left out, and why; `checks` counts the accruals that
    the chain's own numbers confirmed or not. While `missing` is not empty, the rest is no
    result: these views must be answered first and the batch be folded again. `consulted`
    are the views whose answers were there.
    """

    contracts: list[tuple[EventKey, int, ContractState]] = []
    assets: list[tuple[EventKey, AssetKey, accrual.AssetState]] = []
    pairs: list[tuple[EventKey, PairKey, PairState]] = []
    positions: list[tuple[EventKey, PositionKey, PositionState]] = []
    transactions: list[TransactionEffect] = []
    liquidations: list[LiquidationEffect] = []
    refused: list[tuple[EventKey, str]] = []
    pools: list[tuple[EventKey, PoolKey, ContractState]] = []
    mismatches: list[Mismatch] = []
    quarantined: list[tuple[EventKey, PoolKey, str]] = []
    refused_names: set[int] = set()
    checks: int = 0
    missing: list[view_call.ViewCall] = []
    consulted: set[view_call.ViewCall] = set()

    @property
    def told_prices(self) -> bool:
        """Whether an event told a price."""
        return any(asset.price_block == key.block_number for key, _, asset in self.assets)

    def lengths(self) -> tuple[int, ...]:
        """How much is noted so far."""
        return tuple(map(len, self.changes()))

    def cut(self, lengths: tuple[int, ...]) -> None:
        """Forget what was noted since."""
        for entries, length in zip(self.changes(), lengths, strict=True):
            del entries[length:]

    def changes(self) -> tuple[list[Any], ...]:
        """The lists that what an event notes stands in, until the event is undone."""
        return (
            self.contracts,
            self.assets,
            self.pairs,
            self.positions,
            self.transactions,
            self.liquidations,
            self.refused,
            self.pools,
            self.mismatches,
        )


class World(msgspec.Struct):
    """The state that a fold reads and replaces. `pools` are those inside V1's singletons.

    `loaded` names the positions that were looked up for the batch in hand: what is missing
    among these does not exist. None: `positions` holds all there are. `holders` are those of
    the addresses which the batch names that hold positions already.
    """

    contracts: dict[int, ContractState] = {}
    pools: dict[PoolKey, ContractState] = {}
    assets: dict[AssetKey, accrual.AssetState] = {}
    pairs: dict[PairKey, PairState] = {}
    positions: dict[PositionKey, PositionState] = {}
    loaded: frozenset[PositionKey] | None = None
    holders: frozenset[int] = frozenset()

    def copy(self) -> World:
        """Another world with the same state; a fold of one leaves the other alone."""
        return World(
            dict(self.contracts),
            dict(self.pools),
            dict(self.assets),
            dict(self.pairs),
            dict(self.positions),
            self.loaded,
            self.holders,
        )

    def market(self, pool: PoolKey) -> PoolKey:
        """The pool whose markets say what a position of `pool` is worth.

        Its own, but for a V1.0 pool that V1.1 took over: until they are touched, its
        positions count there.
        """
        contract = self.pools.get(pool)
        if contract is None or contract.successor is None:
            return pool
        return PoolKey(contract.successor, pool.id)
