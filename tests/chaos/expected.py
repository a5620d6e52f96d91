"""What undisturbed runs give, and the databases that disturbed ones begin with."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from indexer.audit import digest
from indexer.cairo import selector
from indexer.recording import chain, options, playhead, server
from tests import postgres
from tests.acceptance import stage, truth
from tests.chaos import schedule, strangers
from tests.hostile import chain as hostile

HOLD = 0x4348_414F
"""The advisory lock behind which the test stops a server process."""

TRIGGERS = f"""
    CREATE SCHEMA chaos;
    CREATE FUNCTION chaos.wait() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared({HOLD});
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON cursor
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN (OLD.block_hash IS DISTINCT FROM NEW.block_hash)
        EXECUTE FUNCTION chaos.wait();
"""
"""A commit that moves the cursor waits while the test holds the lock; a new session, which only
raises the cursor's token and notifies nobody, does not."""

EVENT_TRIGGER = f"""
    CREATE SCHEMA chaos;
    CREATE TABLE chaos.at (object text);
    CREATE FUNCTION chaos.wait_for() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM pg_event_trigger_ddl_commands() d JOIN chaos.at a
            ON d.object_identity = a.object
        ) THEN
            PERFORM pg_advisory_xact_lock_shared({HOLD});
        END IF;
    END $$;
    CREATE EVENT TRIGGER wait_for ON ddl_command_end EXECUTE FUNCTION chaos.wait_for();
"""
"""A migration that makes the object named in chaos.at waits while the test holds the lock."""

EVENT = (
    "block_number, transaction_index, event_index, block_hash, transaction_hash, from_address, "
    "keys, data"
)
OBSERVATION = "block_number, contract, view, calldata, block_hash, result, error"
EVENTS = f"SELECT {EVENT} FROM events ORDER BY {EVENT}"
OBSERVATIONS = f"SELECT {OBSERVATION} FROM observations ORDER BY {OBSERVATION}"
ORPHANED_EVENTS = f"SELECT {EVENT} FROM orphaned_events WHERE reorg_id = $1 ORDER BY {EVENT}"
ORPHANED_OBSERVATIONS = (
    f"SELECT {OBSERVATION} FROM orphaned_observations WHERE reorg_id = $1 ORDER BY {OBSERVATION}"
)

PRICE = hex(selector.of("price"))

Rows = list[tuple[Any, ...]]


class Log(msgspec.Struct):
    """What a branch's events and observations are."""

    events: Rows
    observations: Rows


class Expected(msgspec.Struct):
    """The truth: the digest at LAST and each branch's log; and two databases to copy.

    `recorded` and `loaded` are devnet-a with strangers on it.
    """

    recorded: truth.Recorded
    loaded: chain.Recording
    digest: digest.Digest
    logs: tuple[Log, Log]
    nothing: str
    at_first: str

    def block_hash(self, branch: int, number: int) -> str:
        """A block's hash; those up to COMMON belong to both branches."""
        own = branch if number > schedule.COMMON else 0
        return self.loaded.branch(own).blocks[number].hash

    def branch_of(self, number: int, padded_hash: str) -> int:
        """The branch that a block belongs to."""
        block = self.loaded.block_by_hash(hex(int(padded_hash, 16)))
        assert block is not None, (number, padded_hash)
        assert block.number == number, (number, padded_hash)
        return block.branch

    def price(self, block_hash: str, pool: str, asset: str) -> tuple[int | None, bool]:
        """What the recorded pool answers for its asset's price, and whether that is valid."""
        call = self.loaded.branch(0).calls[block_hash, pool, PRICE, asset]
        if not call.result:
            return None, False
        low, high, is_valid = msgspec.json.decode(call.result)
        return int(low, 16) + (int(high, 16) << 128), bool(int(is_valid, 16))

    def events(self, branch: int, above: int, last: int) -> Rows:
        """A branch's events of blocks above one and up to another."""
        return [row for row in self.logs[branch].events if above < row[0] <= last]

    def observations(self, branch: int, above: int, last: int) -> Rows:
        """A branch's observations of blocks above one and up to another."""
        return [row for row in self.logs[branch].observations if above < row[0] <= last]


@contextlib.asynccontextmanager
async def prepared() -> AsyncIterator[Expected]:
    """Run four times undisturbed, and keep what that gave while inside.

    AssertionError where the strangers change a row that is not of their pools.
    """
    await _settings()
    with tempfile.TemporaryDirectory(prefix="vesu-strangers-") as home:
        strangers.join(truth.devnet_a(), Path(home))
        recorded = truth.Recorded(Path(home))
        loaded = recorded.chain
        async with _run(recorded, loaded) as made:
            yield made


@contextlib.asynccontextmanager
async def _run(recorded: truth.Recorded, loaded: chain.Recording) -> AsyncIterator[Expected]:
    async with (
        postgres.fresh_database() as main,
        postgres.fresh_database() as fork,
        _template() as at_first,
        _template() as nothing,
    ):
        await _index(recorded, loaded, main, (0, schedule.LAST))
        await _compare_with_nobody(main)
        await _index(recorded, loaded, fork, (1, schedule.FORK_LAST))
        await _index(recorded, loaded, postgres.with_name(main, at_first), (0, schedule.FIRST))
        await _execute(postgres.with_name(main, at_first), TRIGGERS)
        await _execute(postgres.with_name(main, nothing), EVENT_TRIGGER)
        yield Expected(
            recorded,
            loaded,
            await _digest(main),
            (await _log(main), await _log(fork)),
            nothing,
            at_first,
        )


async def _compare_with_nobody(url: str) -> None:
    """All other pools are what they are on the chain without strangers."""
    recorded = truth.devnet_a()
    async with postgres.fresh_database() as alone:
        await _index(recorded, recorded.chain, alone, (0, schedule.LAST))
        rows = await _others(alone)
    found = await _others(url)
    for table, expected in rows.items():
        assert found[table] == expected, f"strangers changed {table}"
    assert rows["vesu_positions"], "there is nobody else"
    assert {strangers.GREEDY} <= set(await hostile.reasons(url)) <= set(strangers.POOLS)


async def _others(url: str) -> dict[str, list[tuple[Any, ...]]]:
    connection = await asyncpg.connect(url)
    try:
        return await strangers.others(connection)
    finally:
        await connection.close()


async def _log(url: str) -> Log:
    connection = await asyncpg.connect(url)
    try:
        events, seen = await connection.fetch(EVENTS), await connection.fetch(OBSERVATIONS)
    finally:
        await connection.close()
    return Log([tuple(row.values()) for row in events], [tuple(row.values()) for row in seen])


def trusted(recorded: truth.Recorded) -> dict[str, str]:
    """The pools that the settings name, as a user would who expects strangers."""
    pools = [pool["address"] for pool in recorded.manifest["pools"].values()]
    return {"VESU_TRUST_POOLS": ",".join(pools)}


def falsified(truth: Expected) -> Expected:
    """A truth that is none: no run has this digest."""
    wrong = msgspec.structs.replace(truth.digest, all="0" * 64)
    return msgspec.structs.replace(truth, digest=wrong)


async def _settings() -> None:
    """A throwaway server need not survive a power cut."""
    if not os.environ.get("TEST_DATABASE_URL"):
        await _execute(postgres.server_url(), "ALTER SYSTEM SET full_page_writes = off")
        await _execute(postgres.server_url(), "SELECT pg_reload_conf()")


@contextlib.asynccontextmanager
async def _template() -> AsyncIterator[str]:
    """A database to copy, by name."""
    name = f"chaos_{uuid.uuid4().hex}"
    await _execute(postgres.server_url(), f'CREATE DATABASE "{name}"')
    try:
        yield name
    finally:
        await _execute(postgres.server_url(), f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def _index(
    recorded: truth.Recorded, loaded: chain.Recording, url: str, tip: tuple[int, int]
) -> None:
    head = playhead.Playhead.at_block(loaded, schedule.FIRST)
    head.go_to(tip[1], tip[0])
    settings = options.ServerOptions(fault=strangers.fault(recorded))
    async with server.RecordingServer(loaded, head, settings) as node:
        environ = stage.environment(recorded, node.url, url, **trusted(recorded))
        await stage.command(environ, "run", "--until-block", str(tip[1]), "--no-serve")


async def _digest(url: str) -> digest.Digest:
    connection = await asyncpg.connect(url)
    try:
        return await digest.at_block(connection)
    finally:
        await connection.close()
