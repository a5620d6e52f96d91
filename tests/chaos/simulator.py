"""Plays schedules against the real process, and asks the same question after each of them.

Are all digests equal to those of an undisturbed run, and are the audit tables true?
"""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Awaitable, Callable

import asyncpg
import msgspec

from indexer.audit import digest, indexes
from indexer.projections import stored_valuations
from indexer.query import health
from tests import zygote
from tests.chaos import expected, probes, schedule, strangers, surroundings

World = surroundings.Surroundings


class Outcome(msgspec.Struct):
    """How a run ended: `problem` is empty where all was well; `phases` of its kills.

    `turns` from one endpoint to the other.
    """

    plan: schedule.Schedule
    problem: str
    phases: list[str]
    reorgs: int
    turns: int = 0
    said: str = ""
    refused: int = 0
    """How many requests the odd gateways refused."""
    slowest: probes.Slowest = msgspec.field(default_factory=probes.Slowest)


async def play(truth: expected.Expected, maker: zygote.Zygote, plan: schedule.Schedule) -> Outcome:
    """One run, from a fresh database to the answer."""
    async with surroundings.made(truth, maker, plan) as world:
        try:
            for move in plan.moves:
                await MOVES[move.kind](world, move)
            await _finish(world)
            world.check_probes()
            reorgs = await _check(world)
            refused = sum(sum(gateway.refused.values()) for gateway in world.gateways)
            return Outcome(
                plan, "", world.phases, reorgs, world.turns(), "", refused, world.slowest
            )
        except (AssertionError, TimeoutError) as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            return Outcome(plan, problem, world.phases, 0, said=world.said())


async def shrink(truth: expected.Expected, maker: zygote.Zygote, failed: Outcome) -> Outcome:
    """Leave out every move without which the run fails as well."""
    smallest = failed
    at = 0
    while at < len(smallest.plan.moves):
        moves = smallest.plan.moves
        fewer = msgspec.structs.replace(smallest.plan, moves=moves[:at] + moves[at + 1 :])
        again = await play(truth, maker, fewer)
        if again.problem:
            smallest = again
        else:
            at += 1
    return smallest


# --- moves ------------------------------------------------------------------------------------


async def _go(world: World, move: schedule.Move) -> None:
    world.go_to(move.number, move.branch)
    await world.running()
    if move.settled:
        await world.settles(move.branch, move.number)


async def _lag(world: World, move: schedule.Move) -> None:
    tip = world.head.tip
    assert tip is not None
    world.go_to(move.number, move.branch)
    await world.running()
    await world.asked(4)
    world.go_to(tip.number, tip.branch)


async def _fault(world: World, move: schedule.Move) -> None:
    world.fail(move.what, move.times)


async def _limit(world: World, move: schedule.Move) -> None:
    world.limit(move.what, move.number, move.times)


async def _passing(world: World, move: schedule.Move) -> None:
    world.refuse(move.number, move.times)


async def _shut(world: World, _: schedule.Move) -> None:
    world.is_shut = True


async def _open(world: World, _: schedule.Move) -> None:
    world.is_shut = False


async def _stop(world: World, _: schedule.Move) -> None:
    await world.stop()


async def _outage(world: World, move: schedule.Move) -> None:
    await world.running()
    if move.what == "cut":
        world.way.cut()
    elif move.what == "cut_later":
        world.way.cut_after(move.times)
    elif move.what == "terminated":
        await world.observer.fetchval(surroundings.TERMINATE)
    else:
        await _refuse(world)


async def _trouble(world: World, move: schedule.Move) -> None:
    await world.running()
    world.trouble(move.what, move.number, move.times)


async def _flow(world: World, _: schedule.Move) -> None:
    world.way.flow()


async def _refuse(world: World) -> None:
    """Nobody is let in until it was tried twice."""
    until = world.way.refused + 2
    world.way.is_refusing = True
    world.way.cut()
    async with asyncio.timeout(world.patience):
        while world.way.refused < until:
            await world.running()
            await asyncio.sleep(0.01)
    world.way.is_refusing = False


async def _kill(world: World, move: schedule.Move) -> None:
    world.heal()
    if move.what == "fetch":
        await _kill_in_fetch(world, move)
    elif move.what == "migration":
        await _kill_in_migration(world, move)
    elif move.what == "anywhere":
        world.go_to(move.number, move.branch)
        await world.running()
        await asyncio.sleep(move.times / 100)
        await _killed(world, move, hit=True)
    elif move.what == "before":
        await _kill_at_lock(world, move, "LOCK TABLE chain_head IN SHARE MODE")
    elif move.what in ("inside", "rollback"):
        await _kill_at_lock(world, move, f"LOCK TABLE {move.where} IN SHARE MODE")
    else:
        await _kill_in_commit(world, move)


async def _kill_in_fetch(world: World, move: schedule.Move) -> None:
    world.hold(move.where)
    world.go_to(move.number, move.branch)
    await world.running()
    held = asyncio.create_task(world.held.wait())
    try:
        hit = await _first(world, move, held.done)
    finally:
        held.cancel()
    world.heal()
    await _killed(world, move, hit)


async def _kill_at_lock(world: World, move: schedule.Move, lock: str) -> None:
    async with world.connected() as holder, holder.transaction():
        await holder.execute(lock)
        world.go_to(move.number, move.branch)
        await world.running()
        hit = await _first(world, move, world.at_our_table_lock)
        await _killed(world, move, hit)


async def _kill_in_migration(world: World, move: schedule.Move) -> None:
    world.go_to(move.number, move.branch)
    async with world.connected() as holder:
        await holder.execute("INSERT INTO chaos.at VALUES ($1)", move.where)
        await holder.execute("SELECT pg_advisory_lock($1::bigint)", expected.HOLD)
        await world.running()
        hit = await _first(world, move, world.at_our_trigger)
        await _killed(world, move, hit)


async def _kill_in_commit(world: World, move: schedule.Move) -> None:
    """The server waits before the end of the commit; it goes on after the kill, or before."""
    async with world.connected() as holder:
        await holder.execute("SELECT pg_advisory_lock($1::bigint)", expected.HOLD)
        world.go_to(move.number, move.branch)
        process = await world.running()
        hit = await _first(world, move, world.at_our_trigger)
        if hit and move.what == "committed":
            # Asleep, it cannot see that its commit comes through.
            process.send_signal(signal.SIGSTOP)
            told = len(world.commits)
            await holder.execute("SELECT pg_advisory_unlock($1::bigint)", expected.HOLD)
            async with asyncio.timeout(world.patience):
                while len(world.commits) == told:
                    await asyncio.sleep(0.005)
        await _killed(world, move, hit)


async def _first(
    world: World, move: schedule.Move, is_there: Callable[[], object | Awaitable[object]]
) -> bool:
    """Wait for the place of the kill; False where the process went past it to the end."""
    async with asyncio.timeout(world.patience):
        while True:
            found = is_there()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return True
            if await world.is_settled(move.branch, move.number):
                return False
            await world.running()
            await asyncio.sleep(0.005)


async def _killed(world: World, move: schedule.Move, hit: bool) -> None:
    await world.kill()
    world.phases.append(move.what if hit else "idle")


MOVES: dict[str, Callable[[World, schedule.Move], Awaitable[None]]] = {
    "go": _go,
    "lag": _lag,
    "fault": _fault,
    "limit": _limit,
    "passing": _passing,
    "shut": _shut,
    "open": _open,
    "outage": _outage,
    "trouble": _trouble,
    "flow": _flow,
    "kill": _kill,
    "stop": _stop,
}


# --- the question -----------------------------------------------------------------------------


async def _finish(world: World) -> None:
    """Everything is well again, and the head at LAST: the process comes there by itself."""
    world.heal()
    world.is_shut = False
    world.way.flow()
    world.go_to(schedule.LAST)
    await world.settles(0, schedule.LAST)
    await world.stop()


async def _check(world: World) -> int:
    """AssertionError where anything is lost, doubled or untrue; returns the number of reorgs."""
    truth = world.truth
    async with world.connected() as connection:
        found = await digest.at_block(connection)
        differing = [name for name, one in truth.digest.tables.items() if found.tables[name] != one]
        assert found == truth.digest, f"digests differ: {differing}"
        await _check_valuations(connection)
        await _check_samples(truth, connection)
        assert (await indexes.check(connection)).is_good
        found_wrong = await health.failed_proofs(connection, price_seconds=0)
        assert not [one for one in found_wrong if one.name != "check_not_done"], found_wrong
        reorgs = await connection.fetch("SELECT * FROM reorgs ORDER BY id")
        told = [tuple(row[name] for name in PLACE) for row in reorgs]
        happened = _reorgs_of(world.commits)
        assert told == happened, f"reorgs: told {told}, happened {happened}"
        for row in reorgs:
            await _check_reorg(world, connection, row)
    return len(reorgs)


async def _check_valuations(connection: asyncpg.Connection) -> None:
    """Each position is worth what its row says, valued anew at the block that the row names.

    Which block that is depends on where batches end, so no two runs need to agree on it.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await stored_valuations.check(connection, "public")
    assert found.rows, "nothing was valued"
    assert not found.wrong_rows, f"valuations differ: {found.wrong[:3]}"


async def _check_samples(truth: expected.Expected, connection: asyncpg.Connection) -> None:
    """Each sampled price is what the pool answers at the sampled block, which is on the chain."""
    rows = await connection.fetch(
        "SELECT pool_address, asset_address, block_number, block_hash, price, is_valid "
        "FROM vesu_sampled_prices WHERE block_number > $1",
        schedule.FIRST,
    )
    for row in rows:
        branch, number = (
            truth.branch_of(row["block_number"], row["block_hash"]),
            row["block_number"],
        )
        assert branch == 0, f"a price of the abandoned block {number}"
        pool, asset = (hex(int(row[name], 16)) for name in ("pool_address", "asset_address"))
        if int(pool, 16) in strangers.POOLS:
            continue
        told = truth.price(truth.block_hash(0, number), pool, asset)
        found = (None if row["price"] is None else int(row["price"]), row["is_valid"])
        assert found == told, f"a price of {asset} in {pool} at block {number}: {found}, not {told}"


PLACE = ("ancestor_number", "ancestor_hash", "old_number", "old_hash")


def _reorgs_of(commits: list[surroundings.Commit]) -> list[tuple[object, ...]]:
    """PLACE of each reorganisation that the notifications of all commits tell of."""
    return [
        (*now[:2], *before[:2])
        for before, now in itertools.pairwise(commits)
        if now[2] == before[2] + 1
    ]


async def _check_reorg(world: World, connection: asyncpg.Connection, row: asyncpg.Record) -> None:
    """The audit tables hold exactly what the abandoned branch had in them."""
    truth = world.truth
    above, last = row["ancestor_number"], row["old_number"]
    branch = truth.branch_of(last, row["old_hash"])
    is_cut_back = (branch, above) in world.stood or (0, above) in world.stood
    assert above == schedule.COMMON or is_cut_back, f"went back to {above}"
    assert int(truth.block_hash(branch, above), 16) == int(row["ancestor_hash"], 16)
    assert row["depth"] == last - above, f"depth {row['depth']} of {above} to {last}"
    events = truth.events(branch, above, last)
    orphans = await connection.fetch(expected.ORPHANED_EVENTS, row["id"])
    assert [tuple(one.values()) for one in orphans] == events, f"orphaned events of {row['id']}"
    assert row["events_orphaned"] == len(events), f"{row['events_orphaned']} events told"
    seen = await connection.fetch(expected.ORPHANED_OBSERVATIONS, row["id"])
    assert [tuple(one.values()) for one in seen] == truth.observations(branch, above, last)
