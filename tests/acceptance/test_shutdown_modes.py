"""V1's shutdown modes: at every block what `shutdown_status` answered, also by time alone."""

from __future__ import annotations

import collections

import msgspec

from indexer.projections import world as worlds
from indexer.store import database
from indexer.vesu import refusals, state
from indexer.vesu.v1 import shutdown
from tests.acceptance import past_markets, tables_v1

Mode = refusals.ShutdownMode

CLOSING = {"devnet-v10-genesis": 47}
"""The block after which a recording's pool goes through its modes by time."""

ENDED = {"devnet-v11": (Mode.REDEMPTION,)}
"""What a recording's pools are in at its end, beside those that are open."""

MODES = {
    "devnet-v10-genesis": {Mode.NONE, Mode.RECOVERY, Mode.SUBSCRIPTION, Mode.REDEMPTION},
    "devnet-v10-migration": {Mode.NONE},
    "devnet-v11": {Mode.NONE, Mode.RECOVERY, Mode.SUBSCRIPTION, Mode.REDEMPTION},
}
"""The modes that each recording went through."""


def at_prices(
    world: state.World, rules: past_markets.Rules, block: int, pools: set[state.PoolKey]
) -> state.World:
    """The world with the prices that the contracts told at a block, sampled or not."""
    priced = world.copy()
    for key, asset in world.assets.items():
        told = rules.prices.get((key.pool, key.asset, block))
        if told is not None and key.pool in pools:
            priced.assets[key] = msgspec.structs.replace(
                asset, price=told[0], price_is_valid=told[1]
            )
    return priced


async def test_every_mode_is_the_contracts(indexed_v1: tables_v1.Indexed) -> None:
    recorded = indexed_v1.recorded
    rules = past_markets.Rules(recorded)
    statuses = collections.defaultdict(list)
    for answer in recorded.answered("shutdown_status"):
        statuses[answer.block].append(answer)
    compared: collections.Counter[Mode] = collections.Counter()
    unpriced = 0
    connection = await database.connect(indexed_v1.url)
    try:
        for block, answers in sorted(statuses.items()):
            loaded = await worlds.at_block(connection, block, None)
            now = recorded.timestamps[block]
            places = [
                state.PoolKey(recorded.singleton_of(one.contract), one.arguments["pool_id"])
                for one in answers
            ]
            priced = at_prices(loaded.world, rules, block, set(places))
            for pool, answer in zip(places, answers, strict=True):
                sides = [answer.arguments[name] for name in ("collateral_asset", "debt_asset")]
                pair = state.PairKey(pool, *sides)
                if loaded.world.market(pool) != pool:
                    continue  # it moved to V1.1, where its mode is told
                found = shutdown.mode(priced, pair, now)
                where = (block, hex(pool.id), *map(hex, sides))
                assert found == answer.value.shutdown_mode, where
                unpriced += shutdown.mode(loaded.world, pair, now) != found
                compared[Mode(answer.value.shutdown_mode)] += 1
    finally:
        await connection.close()
    print(f"{recorded.name}: {dict(compared)}, {unpriced} otherwise by the events' prices")
    assert set(compared) == MODES[recorded.name]
    assert compared.total() > 250


async def test_a_mode_moves_on_by_time_alone(indexed_v1: tables_v1.Indexed) -> None:
    """The state of one block at the times of later ones: what the contract answered there."""
    recorded = indexed_v1.recorded
    last = CLOSING.get(recorded.name)
    rules = past_markets.Rules(recorded)
    connection = await database.connect(indexed_v1.url)
    try:
        world = (await worlds.at_block(connection, last or recorded.last_block, None)).world
    finally:
        await connection.close()
    seen = set()
    for answer in recorded.answered("shutdown_status"):
        pool = state.PoolKey(recorded.singleton_of(answer.contract), answer.arguments["pool_id"])
        if world.market(pool) != pool or answer.block < (last or recorded.last_block):
            continue
        priced = at_prices(world, rules, answer.block, {pool})
        pair = state.PairKey(pool, *list(answer.arguments.values())[1:])
        found = shutdown.mode(priced, pair, recorded.timestamps[answer.block])
        assert found == answer.value.shutdown_mode, (answer.block, hex(pool.id))
        seen.add(found)
    assert seen == (MODES[recorded.name] if last else {Mode.NONE, *ENDED.get(recorded.name, ())})
