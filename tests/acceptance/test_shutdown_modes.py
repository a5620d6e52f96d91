"""V1's shutdown modes: at every block what `shutdown_status` answered, also by time alone."""

from __future__ import annotations

import collections

import msgspec

from indexer.projections import world as worlds
from indexer.query import markets, pools, positions, simulate
from indexer.store import database
from indexer.vesu import refusals, simulation, state
from indexer.vesu.v1 import shutdown
from tests.acceptance import past_markets, recorded_calls, tables_v1

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


CLOSED = {
    refusals.Refusal.IN_RECOVERY,
    refusals.Refusal.IN_SUBSCRIPTION,
    refusals.Refusal.IN_REDEMPTION,
}


async def test_what_may_be_done_is_what_the_contract_took(indexed_v1: tables_v1.Indexed) -> None:
    """Where a pool is closing: what users tried in a block, against `allowed_actions` after it."""
    recorded = indexed_v1.recorded
    taken: collections.Counter[bool] = collections.Counter()
    connection = await database.connect(indexed_v1.url)
    try:
        for call in recorded_calls.of(recorded):
            if call.is_reverted and call.reason not in CLOSED:
                continue
            key = call.position
            found = await positions.find(
                connection, positions.PositionFilter(pool=key.pool.id), at=call.block
            )
            pairs = await pools.find(connection, key.pool.id, at=call.block)
            if {one.shutdown_mode for one in pairs.pools} <= {"none", None}:
                continue
            held = [one for one in found.positions if is_of(one, call)]
            for leg in call.operations:
                for one in held:
                    assert (leg["op"] in one.allowed_actions) is not call.is_reverted, call.title
                    taken[not call.is_reverted] += 1
    finally:
        await connection.close()
    assert recorded.name == "devnet-v10-migration" or (taken[True] > 2 and taken[False] > 1), taken


def is_of(one: positions.Position, call: recorded_calls.Call) -> bool:
    """Whether a row is the position that a call is of, or the holding of its vToken."""
    leg, key = call.operations[0], call.position
    if leg["function"] != "modify_position":
        return (int(one.v_token or "0x0", 16), int(one.user_id, 16)) == (
            int(leg["v_token"], 16),
            int(leg["user"], 16),
        )
    sides = (one.collateral_address, one.debt_address or "0x0", one.user_id)
    return one.v_token is None and tuple(int(side, 16) for side in sides) == (
        key.collateral,
        key.debt,
        key.user,
    )


async def test_simulations_start_from_the_mode_that_the_pool_has(
    indexed_v1: tables_v1.Indexed,
) -> None:
    """No condition names it: after a block in which a call was refused, it is the mode named."""
    recorded = indexed_v1.recorded
    refused = broke = 0
    connection = await database.connect(indexed_v1.url)
    try:
        for call in recorded_calls.of(recorded):
            if not call.is_reverted or call.reason not in CLOSED:
                continue
            key = call.position
            wanted = markets.PositionRef(key.pool.id, key.collateral, key.debt, key.user)
            actions = [simulate.Action(simulation.Kind.SUPPLY, 1)]
            found = await simulate.simulate(connection, wanted, actions, at=call.block)
            mode = call.reason.removeprefix("in-")
            if found.shutdown_mode == "none":
                broke += 1  # the call itself would have broken a rule of an open pool
                continue
            assert found.shutdown_mode == mode, call.title
            refused += 1
    finally:
        await connection.close()
    expected = {"devnet-v10-genesis": (3, 1), "devnet-v11": (2, 0)}
    # Reasons that the node cut off name no mode.
    assert (refused, broke) == expected.get(recorded.name, (0, 0))
