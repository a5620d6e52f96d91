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


class Known(msgspec.Struct, frozen=True, gc=False):
    """What decoding and folding must know of a contract before its first event."""

    kind: kinds.Kind
    pool: state.PoolKey | None = None
    asset: int | None = None


class Registry:
    """All contracts known so far, by address."""

    def __init__(self, contracts: dict[int, Known] | None = None) -> None:
        self._contracts: dict[int, Known] = {}
        self._singletons: dict[kinds.Kind, int] = {}
        for address, known in (contracts or {}).items():
            self.add(address, known)

    def get(self, address: int) -> Known | None:
        """What is known of `address`; None for a stranger."""
        return self._contracts.get(address)

    def addresses(self) -> frozenset[int]:
        """Every address that is watched."""
        return frozenset(self._contracts)

    def add(self, address: int, known: Known) -> bool:
        """Remember a contract; True if it is new."""
        if address in self._contracts or address == 0:
            return False
        self._contracts[address] = known
        if known.kind in kinds.SINGLETONS:
            self._singletons.setdefault(known.kind, address)
        return True

    def singleton(self, kind: kinds.Kind) -> int | None:
        """The address of V1's singleton of this kind; None where the book has none."""
        return self._singletons.get(kind)

    def pool_of(self, emitter: Known, address: int, pool_id: int) -> state.PoolKey | None:
        """The V1 pool that an event of a singleton or an extension is of."""
        if emitter.kind in kinds.SINGLETONS:
            return state.PoolKey(address, pool_id)
        singleton = self.singleton(kinds.EXTENSIONS[emitter.kind])
        return None if singleton is None else state.PoolKey(singleton, pool_id)

    def learn(self, emitter: int, event: events.Struct) -> int | None:
        """Take up the contract that an event names; its address, None where none is new."""
        found = self._named_by(emitter, event)
        return found[0] if found is not None and self.add(*found) else None

    def learn_v_token(self, v_token: int, pool: state.PoolKey, asset: int) -> bool:
        """Take up a V1 vToken that a view named; True if it is new."""
        singleton = self.get(pool.address)
        if singleton is None:
            return False
        return self.add(v_token, Known(kinds.V_TOKENS[singleton.kind], pool, asset))

    def _named_by(self, emitter: int, event: events.Struct) -> tuple[int, Known] | None:
        match event:
            case events_v2.CreatePool():
                return event.pool, Known(kinds.Kind.POOL_V2, state.v2_pool(event.pool))
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
        return known is not None and known.kind is kinds.Kind.POOL_V2


def _v_token(event: events_v2.CreateVToken | events_v2.UpdateVToken) -> Known:
    return Known(kinds.Kind.VTOKEN_V2, state.v2_pool(event.pool), event.asset)
