"""The ledger of a fold: the state in hand, replaced value by value, each change noted.

Handlers of events read and write through it, so that no change escapes the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from indexer.vesu import accrual, discovery, events, kinds, state

replace = msgspec.structs.replace


class Context(msgspec.Struct, frozen=True, gc=False):
    """Where the event in hand stands and who emitted it."""

    at: state.EventKey
    timestamp: int
    emitter: int
    known: discovery.Known

    @property
    def pool(self) -> state.PoolKey:
        """The pool that a V2 pool's or a vToken's event is of."""
        assert self.known.pool is not None, "discovery gives pools and vTokens their pool"
        return self.known.pool


class Ledger:
    """`world` as it stands, and the `journal` of what changed in it.

    `registry` must already know every contract of the batch.
    """

    def __init__(self, world: state.World, registry: discovery.Registry) -> None:
        self.world = world
        self.registry = registry
        self.journal = state.Journal()

    def contract(self, here: Context, address: int, **changes: Any) -> None:
        """Change settings of a contract; the first change creates its row."""
        current = self.world.contracts.get(address)
        if current is None:
            known = self.registry.get(address)
            if known is None:
                return
            current = state.ContractState(
                known.kind,
                known.pool,
                known.asset,
                created_block=here.at.block_number,
                created_at=here.timestamp,
            )
        changed = replace(current, last_event_block=here.at.block_number, **changes)
        self.world.contracts[address] = changed
        self.journal.contracts.append((here.at, address, changed))

    def asset(self, here: Context, key: state.AssetKey, changed: accrual.AssetState) -> None:
        """Replace an asset's state."""
        changed = replace(changed, block_number=here.at.block_number, updated_at=here.timestamp)
        self.world.assets[key] = changed
        self.journal.assets.append((here.at, key, changed))

    def asset_state(self, key: state.AssetKey) -> accrual.AssetState:
        """An asset's state, blank before its first event."""
        return self.world.assets.get(key, accrual.AssetState())

    def set_v_token(self, here: Context, pool: state.PoolKey, asset: int, v_token: int) -> None:
        """Make `v_token` the current vToken of a pool's asset."""
        key = state.AssetKey(pool, asset)
        self.asset(here, key, replace(self.asset_state(key), v_token=v_token))

    def is_v_token(self, address: int, pool: int, asset: int) -> bool:
        """Whether `address` is known as a vToken of this pool's asset, and as nothing else.

        A factory may be made to name an invented pool, or one that has no CreatePool yet, or
        somebody else's contract; discovery refuses these, and so must the fold.
        """
        wanted = discovery.Known(kinds.Kind.VTOKEN_V2, state.v2_pool(pool), asset)
        return self.registry.get(address) == wanted

    def is_deployed_by_factory(self, v_token: int) -> bool:
        """Whether CreateVToken told of this vToken; it alone tells a name."""
        contract = self.world.contracts.get(v_token)
        return contract is not None and contract.name is not None

    def refuse(self, here: Context, reason: str) -> None:
        """Note that the event in hand contradicts the state and is left out."""
        self.journal.refused.append((here.at, reason))

    def pair(self, here: Context, collateral: int, debt: int, **changes: Any) -> None:
        """Change a pair's configuration or totals."""
        key = state.PairKey(here.pool, collateral, debt)
        current = self.world.pairs.get(key)
        if current is None:
            current = state.PairState(created_at=here.timestamp)
        changed = replace(
            current, block_number=here.at.block_number, updated_at=here.timestamp, **changes
        )
        self.world.pairs[key] = changed
        self.journal.pairs.append((here.at, key, changed))

    def position(self, key: state.PositionKey) -> state.PositionState:
        """A position's state; blank, of the right kind, before its first event."""
        found = self.world.positions.get(key)
        if found is not None:
            return found
        if key.v_token:
            return state.PositionState("earn")
        holder = self.registry.get(key.user)
        is_system = holder is not None and holder.kind is kinds.Kind.VTOKEN_V2
        return state.PositionState("system" if is_system else "borrow")

    def put_position(
        self, here: Context, key: state.PositionKey, changed: state.PositionState
    ) -> None:
        """Replace a position's state."""
        changed = replace(
            changed,
            created_at=changed.created_at or here.timestamp,
            last_updated=here.timestamp,
            last_event_block=here.at.block_number,
        )
        self.world.positions[key] = changed
        self.journal.positions.append((here.at, key, changed))

    def transaction(
        self, here: Context, leg: int, key: state.PositionKey, type_: str, asset: int, amount: int
    ) -> None:
        """Note one effect on a position; a zero amount is no effect."""
        if amount:
            self.journal.transactions.append(
                state.TransactionEffect(here.at, leg, key, type_, asset, amount)
            )


Handler = Callable[[Ledger, Context, Any], None]
Handlers = dict[type, Handler]
"""By the type of the event, for one kind of contract."""


def on(handlers: Handlers, *types: type) -> Callable[[Handler], Handler]:
    """Decorator: the function handles these types of events."""

    def register(handler: Handler) -> Handler:
        handlers.update(dict.fromkeys(types, handler))
        return handler

    return register


def setting(handlers: Handlers, type_: type, column: str, field: str) -> None:
    """The event's `field` becomes the emitting contract's setting `column`."""

    @on(handlers, type_)
    def _set(ledger: Ledger, here: Context, event: Any) -> None:
        ledger.contract(here, here.emitter, **{column: getattr(event, field)})


def upgradable(handlers: Handlers) -> None:
    """What every upgradable contract with an owner tells of itself."""
    setting(handlers, events.OwnershipTransferred, "owner", "new_owner")
    setting(handlers, events.ContractUpgraded, "class_hash", "new_implementation")
