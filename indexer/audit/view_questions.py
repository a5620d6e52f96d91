"""The views that a check calls, one for each row and view; causes come before consequences.

Assets and pairs come before the positions that stand in them: a difference that only follows
from another one is then known as such.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from indexer.audit import stored_state
from indexer.cairo import view_call
from indexer.vesu import kinds, state, views

V_TOKENS = frozenset({kinds.Kind.VTOKEN_V2, kinds.Kind.VTOKEN_V1_0, kinds.Kind.VTOKEN_V1_1})


class ViewQuestion(NamedTuple):
    """A question, the key of the row that it is about, and for a position the pool asked.

    That is its own, or the V1.1 pool that answers for a V1.0 position nobody touched yet.
    """

    call: view_call.ViewCall
    key: Any
    market: state.PoolKey | None = None


class Questions:
    """Makes the questions about all rows of both sides."""

    def __init__(
        self, stored_state: stored_state.StoredState, extensions: views.Extensions
    ) -> None:
        self._scope = stored_state.scope
        self._extensions = extensions
        self._block = stored_state.block.number
        self._worlds = [side.world for side in stored_state.sides]

    def all(self) -> list[ViewQuestion]:
        """Everything to ask, but for convert_to_assets, which needs the balances' answers."""
        positions = _union(world.positions for world in self._worlds)
        assets = _union(world.assets for world in self._worlds)
        pairs = _union(world.pairs for world in self._worlds)
        markets = {asset for key in positions for asset in markets_of(key, self._market(key.pool))}
        in_pairs = {state.PairKey(key.pool, key.collateral, key.debt) for key in positions}
        return [
            *(
                question
                for key in self._chosen(assets, markets)
                for question in self._of_asset(key)
            ),
            *(question for key in self._chosen(pairs, in_pairs) for question in self._of_pair(key)),
            *self._of_pools(),
            *(question for key in positions for question in self._of_position(key)),
            *self._supplies(),
        ]

    def _contracts(self, pool: state.PoolKey) -> views.PoolContracts:
        """By the side that knows the pool."""
        world = next((world for world in self._worlds if pool in world.pools), self._worlds[0])
        return views.contracts_of(world, pool, self._extensions)

    def _market(self, pool: state.PoolKey) -> state.PoolKey:
        return self._worlds[0].market(pool)

    def _of_asset(self, key: state.AssetKey) -> Iterator[ViewQuestion]:
        for call in views.of_asset(self._block, self._contracts(key.pool), key.asset):
            yield ViewQuestion(call, key)

    def _of_pair(self, key: state.PairKey) -> Iterator[ViewQuestion]:
        contracts = self._contracts(key.pool)
        for call in views.of_pair(self._block, contracts, key.collateral, key.debt):
            yield ViewQuestion(call, key)

    def _of_position(self, key: state.PositionKey) -> Iterator[ViewQuestion]:
        if key.v_token:
            yield ViewQuestion(views.balance_of(self._block, key.v_token, key.user), key)
            return
        for pool in dict.fromkeys((key.pool, self._market(key.pool))):
            if pool != key.pool and not self._is_left_behind(key):
                continue
            contracts = self._contracts(pool)
            for call in views.of_position(
                self._block, contracts, key.collateral, key.debt, key.user
            ):
                yield ViewQuestion(call, key, pool)

    def _is_left_behind(self, key: state.PositionKey) -> bool:
        """Whether V1.1 still reads a V1.0 position through."""
        stored = self._worlds[0].positions.get(key)
        return stored is not None and stored.migrated_block is None

    def _of_pools(self) -> Iterator[ViewQuestion]:
        """Settings of pools."""
        if self._scope.user is not None:
            return
        v2 = (
            [
                address
                for address, contract in world.contracts.items()
                if contract.kind in kinds.FACTORIES.values()
            ]
            for world in self._worlds
        )
        for address in self._chosen(_union(v2), set()):
            contracts = views.PoolContracts(address, address)
            for call in views.of_settings(self._block, contracts):
                yield ViewQuestion(call, address)
        for pool in self._chosen(_union(world.pools for world in self._worlds), set()):
            for call in views.of_settings(self._block, self._contracts(pool)):
                yield ViewQuestion(call, pool)

    def _supplies(self) -> Iterator[ViewQuestion]:
        """Supplies of vTokens, where all their holders are at hand."""
        if self._scope.user is not None or self._scope.sample is not None:
            return
        for address in _union(world.contracts for world in self._worlds):
            found = (world.contracts.get(address) for world in self._worlds)
            contract = next(contract for contract in found if contract is not None)
            if contract.kind not in V_TOKENS or contract.pool is None:
                continue
            if self._scope.pool is None or self._scope.pool in contract.pool:
                yield ViewQuestion(views.supply_of(self._block, address), address)

    def _chosen(self, keys: list[Any], required: set[Any]) -> list[Any]:
        """The keys that the scope asks for; `required` are those that its positions stand in."""
        scope = self._scope
        if scope.user is not None:
            return [key for key in keys if key in required]
        if scope.pool is not None:
            keys = [key for key in keys if scope.pool in pool_of(key)]
        if scope.sample is None:
            return keys
        drawn = set(sorted(keys, key=lambda key: _lot(scope.seed, key))[: scope.sample])
        return [key for key in keys if key in drawn or key in required]


def worths(block: int, balances: Iterable[tuple[state.PositionKey, int]]) -> list[ViewQuestion]:
    """convert_to_assets of the balances that the vTokens themselves answered."""
    return [
        ViewQuestion(views.worth_of(block, key.v_token, balance), key) for key, balance in balances
    ]


def markets_of(key: state.PositionKey, pool: state.PoolKey) -> list[state.AssetKey]:
    """The assets of a pool that a position holds or may owe."""
    return [state.AssetKey(pool, asset) for asset in (key.collateral, key.debt) if asset]


def pool_of(key: Any) -> tuple[int, ...]:
    """Contract and id of the pool that a key is of."""
    if isinstance(key, int):
        return (key,)
    return tuple(key) if isinstance(key, state.PoolKey) else tuple(key.pool)


def _lot(seed: str, key: Any) -> str:
    return hashlib.sha256(f"{seed} {key}".encode()).hexdigest()


def _union(parts: Iterable[Iterable[Any]]) -> list[Any]:
    """The keys of both sides, each once, in a fixed order."""
    return sorted({key for part in parts for key in part})
