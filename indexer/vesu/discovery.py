"""Which contracts are ours: those of the address book and those that a factory of ours names.

A pool counts once the factory's CreatePool names it, a vToken once CreateVToken or
UpdateVToken names it for such a pool. Anyone may make the factory speak of an invented pool;
without a CreatePool it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from indexer.vesu import events, kinds, state


class Known(msgspec.Struct, frozen=True, gc=False):
    """What decoding and folding must know of a contract before its first event."""

    kind: kinds.Kind
    pool: state.PoolKey | None = None
    asset: int | None = None


class Registry:
    """All contracts known so far, by address."""

    def __init__(self, contracts: dict[int, Known] | None = None) -> None:
        self._contracts = dict(contracts or {})

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
        return True

    def learn(self, named: Iterable[events.VesuEvent]) -> frozenset[int]:
        """Take up the contracts that factory events name, in chain order; returns the new."""
        return frozenset(
            address
            for event in named
            if (found := self._named_by(event)) and self.add(address := found[0], found[1])
        )

    def _named_by(self, event: events.VesuEvent) -> tuple[int, Known] | None:
        match event:
            case events.CreatePool():
                return event.pool, Known(kinds.Kind.POOL_V2, state.v2_pool(event.pool))
            case events.CreateOracle():
                return event.oracle, Known(kinds.Kind.ORACLE_V2)
            case events.CreateVToken() if self._is_pool(event.pool):
                return event.v_token, _v_token(event)
            case events.UpdateVToken() if self._is_pool(event.pool):
                return event.new_v_token, _v_token(event)
        return None

    def _is_pool(self, address: int) -> bool:
        known = self._contracts.get(address)
        return known is not None and known.kind is kinds.Kind.POOL_V2


def _v_token(event: events.CreateVToken | events.UpdateVToken) -> Known:
    return Known(kinds.Kind.VTOKEN_V2, state.v2_pool(event.pool), event.asset)
