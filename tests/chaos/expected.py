"""What undisturbed runs give, and the databases that disturbed ones begin with."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec

from indexer.audit import digest
from indexer.recording import chain, playhead, server
from tests import postgres
from tests.acceptance import stage, truth
from tests.chaos import schedule

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
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION chaos.wait();
"""
"""A commit that moves the cursor waits while the test holds the lock."""

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

Rows = list[tuple[Any, ...]]


class Log(msgspec.Struct):
    """What a branch's events and observations are."""

    events: Rows
    observations: Rows


class Expected(msgspec.Struct):
    """The truth: the digest at LAST and each branch's log; and two databases to copy."""

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

    def events(self, branch: int, above: int, last: int) -> Rows:
        """A branch's events of blocks above one and up to another."""
        return [row for row in self.logs[branch].events if above < row[0] <= last]

    def observations(self, branch: int, above: int, last: int) -> Rows:
        """A branch's observations of blocks above one and up to another."""
        return [row for row in self.logs[branch].observations if above < row[0] <= last]


@contextlib.asynccontextmanager
async def prepared() -> AsyncIterator[Expected]:
    """Run three times undisturbed, and keep what that gave while inside."""
    recorded = truth.Recorded()
    loaded = chain.load(recorded.folder)
    await _settings()
    async with (
        postgres.fresh_database() as main,
        postgres.fresh_database() as fork,
        _template() as at_first,
        _template() as nothing,
    ):
        await _index(recorded, loaded, main, (0, schedule.LAST))
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


async def _log(url: str) -> Log:
    connection = await asyncpg.connect(url)
    try:
        events, seen = await connection.fetch(EVENTS), await connection.fetch(OBSERVATIONS)
    finally:
        await connection.close()
    return Log([tuple(row.values()) for row in events], [tuple(row.values()) for row in seen])


def falsified(truth: Expected) -> Expected:
    """A truth that is none: no run has this digest."""
    wrong = msgspec.structs.replace(truth.digest, all="0" * 64)
    return msgspec.structs.replace(truth, digest=wrong)


async def _settings() -> None:
    """A throwaway server need not survive a power cut."""
    if not os.environ.get("TEST_DATABASE_URL"):
        for name in ("fsync", "full_page_writes"):
            await _execute(postgres.server_url(), f"ALTER SYSTEM SET {name} = off")
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
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, url)
        await stage.command(environ, "run", "--until-block", str(tip[1]), "--no-serve")


async def _digest(url: str) -> digest.Digest:
    connection = await asyncpg.connect(url)
    try:
        return await digest.at_block(connection)
    finally:
        await connection.close()
