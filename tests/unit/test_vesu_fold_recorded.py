"""The fold of a recorded chain, compared with the contracts' own answers at every block."""

from __future__ import annotations

import collections
from typing import Any

import pytest

from indexer.vesu import accrual, decoders, discovery, fold, kinds, state
from tests.acceptance import truth
from tests.unit import recorded


class Replay:
    """devnet-a's main branch, folded block by block with what discovery finds by itself."""

    def __init__(self) -> None:
        self.recorded = truth.devnet_a()
        factory = discovery.Known(kinds.Kind.POOL_FACTORY_V2)
        self.registry = discovery.Registry({int(self.recorded.factory, 16): factory})
        self.world = state.World()
        self.journals: list[state.Journal] = []
        self.blocks: dict[int, list[recorded.Event]] = collections.defaultdict(list)
        for event in recorded.events(recorded.DEVNET_A, with_forks=False):
            self.blocks[event.block].append(event)

    def fold(self, block: int) -> None:
        decoded = [
            (raw, found.event)
            for raw in self.blocks[block]
            if (found := decoders.decode(raw.kind, raw.keys, raw.data))
        ]
        assert len(decoded) == len(self.blocks[block])
        for raw, event in decoded:
            if raw.kind is kinds.Kind.POOL_FACTORY_V2:
                self.registry.learn(raw.emitter, event)
        folding = fold.Fold(self.world, self.registry)
        for raw, event in decoded:
            assert event is not None
            at = state.EventKey(raw.block, raw.transaction, raw.index)
            folding.apply(at, self.recorded.timestamps[block], raw.emitter, event)
        self.journals.append(folding.journal)


@pytest.fixture(scope="module")
def compared() -> collections.Counter[str]:
    """Folds the whole recording, comparing every answer on the way; returns how many."""
    replay = Replay()
    answers: dict[int, list[tuple]] = collections.defaultdict(list)
    for view in ("asset_config", "position", "pairs", "total_supply", "balance_of", "pair_config"):
        for block, contract, arguments, answer in replay.recorded.answered(view):
            answers[block].append((view, contract, arguments, answer))
    count: collections.Counter[str] = collections.Counter()
    for block in range(replay.recorded.last_block + 1):
        replay.fold(block)
        for view, contract, arguments, answer in answers[block]:
            known = replay.registry.get(contract)
            if known is None:
                continue  # a token's balance_of
            now = replay.recorded.timestamps[block]
            expected = VIEWS[view](replay.world, now, contract, known, arguments)
            if expected is not None:
                assert expected == answer, (block, view, hex(contract), arguments)
                count[view] += 1
    count["events"] = sum(map(len, replay.blocks.values()))
    found = replay.registry.addresses()
    wanted = recorded.manifest(recorded.DEVNET_A)["contracts"]
    assert found == {
        int(contract["address"], 16)
        for name, contract in wanted.items()
        if not name.startswith("mock_")
    }
    return count


def halves(*numbers: int) -> list[int]:
    """u256s as felts."""
    return [half for number in numbers for half in (number % (1 << 128), number >> 128)]


def _asset_config(world: state.World, now: int, pool: int, _: Any, arguments: list[int]) -> Any:
    stored = world.assets.get(state.AssetKey(state.v2_pool(pool), arguments[0]))
    if stored is None:
        return None
    asset = accrual.accrue(stored, now)
    return [
        *halves(
            asset.total_collateral_shares,
            asset.total_nominal_debt,
            asset.reserve,
            asset.max_utilization,
            asset.floor,
            asset.scale,
        ),
        int(asset.is_legacy),
        asset.last_updated,
        *halves(
            asset.last_rate_accumulator,
            asset.last_full_utilization_rate,
            asset.fee_rate,
            asset.fee_shares,
        ),
    ]


def _position(world: state.World, now: int, pool: int, _: Any, arguments: list[int]) -> Any:
    collateral, debt, user = arguments
    key = state.PositionKey(state.v2_pool(pool), collateral, debt, 0, user)
    held = world.positions.get(key, state.PositionState("borrow"))
    asset, lent = (
        accrual.accrue(world.assets[state.AssetKey(state.v2_pool(pool), one)], now)
        for one in (collateral, debt)
    )
    return halves(
        held.collateral_shares,
        held.nominal_debt,
        accrual.collateral_of(held.collateral_shares, asset),
        accrual.debt_of(held.nominal_debt, lent),
    )


def _pairs(world: state.World, _: int, pool: int, __: Any, arguments: list[int]) -> Any:
    pair = world.pairs.get(state.PairKey(state.v2_pool(pool), *arguments), state.PairState())
    return halves(pair.total_collateral_shares, pair.total_nominal_debt)


def _pair_config(world: state.World, _: int, pool: int, __: Any, arguments: list[int]) -> Any:
    pair = world.pairs.get(state.PairKey(state.v2_pool(pool), *arguments), state.PairState())
    return [pair.max_ltv, pair.liquidation_factor, pair.debt_cap]


def _total_supply(world: state.World, _: int, v_token: int, __: Any, ___: list[int]) -> Any:
    balances = (p.vtoken_balance for k, p in world.positions.items() if k.v_token == v_token)
    return halves(sum(balances))


def _balance_of(
    world: state.World, _: int, v_token: int, known: discovery.Known, arguments: list[int]
) -> Any:
    if known.kind is not kinds.Kind.VTOKEN_V2:
        return None
    assert known.pool is not None
    assert known.asset is not None
    key = state.PositionKey(known.pool, known.asset, 0, v_token, arguments[0])
    return halves(world.positions.get(key, state.PositionState("earn")).vtoken_balance)


VIEWS = {
    "asset_config": _asset_config,
    "position": _position,
    "pairs": _pairs,
    "pair_config": _pair_config,
    "total_supply": _total_supply,
    "balance_of": _balance_of,
}


def test_the_folded_recording_equals_the_contracts_answers(
    compared: collections.Counter[str],
) -> None:
    print(dict(compared))
    assert compared["asset_config"] > 1300
    assert compared["position"] > 4000
    assert compared["pairs"] > 2000
    assert compared["pair_config"] > 2000
    assert compared["total_supply"] > 1400
    assert compared["balance_of"] > 1400
    assert compared["events"] == 672
