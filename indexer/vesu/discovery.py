"""Which contracts are ours: those of the address book and those that a factory of ours names.

V2: a pool counts once the factory's CreatePool names it, a vToken once CreateVToken or
UpdateVToken names it for such a pool. Anyone may make the factory speak of an invented pool;
without a CreatePool it is refused. V1: pools live in the singleton; a vToken counts once an
extension of the address book names it, by event or, for Genesis, by view.
"""

from __future__ import annotations

import msgspec

from indexer.vesu import events, kinds, state
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v2 import events as events_v2

_CONSTRUCTED = frozenset({*kinds.FACTORIES.values(), kinds.Kind.ORACLE_V2})
"""Kinds whose constructor emits before the factory names them, in the same transaction."""

_NAMING = frozenset(
    {
        events_v2.CreatePool,
        events_v2.CreateOracle,
        events_v2.CreateVToken,
        events_v2.UpdateVToken,
        events_v1.CreateVToken,
    }
)


def is_naming(event: events.Struct) -> bool:
    """Whether an event names a contract."""
    return type(event) in _NAMING


class Known(msgspec.Struct, frozen=True, gc=False):
    """What decoding and folding must know of a contract before its first event.

    `named_at` is the event that named it; None: the contract is ours from the start, or was
    named in an earlier batch.
    """

    kind: kinds.Kind
    pool: state.PoolKey | None = None
    asset: int | None = None
    named_at: state.EventKey | None = None

    def is_in_log(self, block: int) -> bool:
        """Whether the contract's events of a block belong to the log: from its name's block on."""
        return self.named_at is None or block >= self.named_at.block_number

    def is_ours(self, event_key: state.EventKey) -> bool:
        """Whether the contract is ours at an event: from its name on.

        What a pool's or an oracle's constructor emits stands before it, in its transaction.
        """
        if self.named_at is None or event_key >= self.named_at:
            return True
        return self.kind in _CONSTRUCTED and event_key[:2] == self.named_at[:2]

    def is_same(self, other: Known) -> bool:
        """Whether both are known as the same."""
        mine, other_key = (self.kind, self.pool, self.asset), (other.kind, other.pool, other.asset)
        return mine == other_key


class Registry:
    """All contracts known so far, by address."""

    def __init__(self, contracts: dict[int, Known] | None = None) -> None:
        self._contracts: dict[int, Known] = {}
        self._refused: set[int] = set()
        self._singletons: dict[kinds.Kind, int] = {}
        for address, known in (contracts or {}).items():
            self.add(address, known)

    def get(self, address: int) -> Known | None:
        """The known contract at `address`; None if it is not watched."""
        return self._contracts.get(address)

    def addresses(self) -> frozenset[int]:
        """All watched addresses."""
        return frozenset(self._contracts)

    def add(self, address: int, known: Known) -> bool:
        """Remember a contract; True if it is new."""
        if address in self._contracts or address in self._refused or address == 0:
            return False
        self._contracts[address] = known
        if known.kind in kinds.SINGLETONS:
            self._singletons.setdefault(known.kind, address)
        return True

    def refuse(self, address: int) -> None:
        """Remove a named contract that is not part of Vesu; it is not added again."""
        self._contracts.pop(address, None)
        self._refused.add(address)

    def named_since(self, block: int) -> list[int]:
        """The contracts that were named in or after a block."""
        return [
            address
            for address, known in self._contracts.items()
            if known.named_at is not None and known.named_at.block_number >= block
        ]

    def singleton(self, kind: kinds.Kind) -> int | None:
        """The address of V1's singleton of this kind; None where the book has none."""
        return self._singletons.get(kind)

    def pool_of(self, emitter: Known, address: int, pool_id: int) -> state.PoolKey | None:
        """The V1 pool that an event of a singleton or an extension is of."""
        if emitter.kind in kinds.SINGLETONS:
            return state.PoolKey(address, pool_id)
        singleton = self.singleton(kinds.EXTENSIONS[emitter.kind])
        return None if singleton is None else state.PoolKey(singleton, pool_id)

    def learn(
        self, emitter: int, event: events.Struct, event_key: state.EventKey | None = None
    ) -> int | None:
        """Add the contract that an event names; returns its address, None if none is new."""
        found = self._named_by(emitter, event)
        if found is None:
            return None
        address, known = found
        return (
            address
            if self.add(address, msgspec.structs.replace(known, named_at=event_key))
            else None
        )

    def learn_v_token(
        self, v_token: int, pool: state.PoolKey, asset: int, block: int | None = None
    ) -> bool:
        """Add a V1 vToken that a view named at a block's end; True if it is new."""
        singleton = self.get(pool.address)
        if singleton is None:
            return False
        event_key = None if block is None else state.EventKey(block, 0, 0)
        return self.add(v_token, Known(kinds.V_TOKENS[singleton.kind], pool, asset, event_key))

    def _named_by(self, emitter: int, event: events.Struct) -> tuple[int, Known] | None:
        match event:
            case events_v2.CreatePool():
                kind = kinds.FACTORIES[self._contracts[emitter].kind]
                return event.pool, Known(kind, state.v2_pool(event.pool))
            case events_v2.CreateOracle():
                return event.oracle, Known(kinds.Kind.ORACLE_V2)
            case events_v2.CreateVToken() if self._is_pool(event.pool):
                return event.v_token, _v_token(event)
            case events_v2.UpdateVToken() if self._is_pool(event.pool):
                return event.new_v_token, _v_token(event)
            case events_v1.CreateVToken():
                return self._v1_v_token(emitter, event)
        return None

    def _v1_v_token(self, emitter: int, event: events_v1.CreateVToken) -> tuple[int, Known] | None:
        extension = self._contracts[emitter]
        pool = self.pool_of(extension, emitter, event.pool_id)
        if pool is None:
            return None
        kind = kinds.V_TOKENS[kinds.EXTENSIONS[extension.kind]]
        return event.v_token, Known(kind, pool, event.collateral_asset)

    def _is_pool(self, address: int) -> bool:
        known = self._contracts.get(address)
        return known is not None and known.kind in kinds.FACTORIES.values()


def _v_token(event: events_v2.CreateVToken | events_v2.UpdateVToken) -> Known:
    return Known(kinds.Kind.VTOKEN_V2, state.v2_pool(event.pool), event.asset)
