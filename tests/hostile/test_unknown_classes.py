"""A pool of a class that nobody knows is marked, and nothing else changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from indexer import errors
from indexer.daemon import class_watcher
from indexer.projections import memory
from indexer.query import pools, status
from indexer.store import database
from tests import postgres
from tests.hostile import chain

POOL = 0x317CE57B2DE4A0C482F0EED58A635D100AC5B4801B38251607DCFA35A4128
FACTORY = 0x5041CC424410E1A63E4F3EF7D65AB3115F19EABB2D45418E7AC245DF011D994
STRANGE = 0xDEAD
THEIRS = f"0x{chain.THEIRS:064x}"
ASKED = "SELECT address FROM contract_classes"


class Classes:
    """A node that names the class at each address."""

    def __init__(self) -> None:
        self.at = {chain.FACTORY: FACTORY, chain.OURS: POOL, chain.THEIRS: STRANGE}
        self.asked: list[int] = []
        self.failing: set[int] = set()

    async def class_hash(self, address: int) -> int | None:
        self.asked.append(address)
        if address in self.failing:
            raise errors.RefusedRequestError(f"no class of {address:#x}")
        return self.at.get(address, POOL)


async def look(url: str, node: Classes) -> None:
    async with database.session(url) as connection:
        watcher = class_watcher.ClassWatcher(node, connection)  # type: ignore[arg-type]
        await watcher.mark()
        await watcher.ask()


@contextlib.asynccontextmanager
async def running(url: str, node: Classes) -> AsyncIterator[None]:
    """A watcher looks again and again while inside."""
    stopping = asyncio.Event()
    async with database.session(url) as connection:
        watcher = class_watcher.ClassWatcher(node, connection)  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as group:
            group.create_task(watcher.run(stopping))
            try:
                yield
            finally:
                stopping.set()


async def until_marked(url: str) -> None:
    async with asyncio.timeout(60):
        while (await marked(url))[THEIRS] != f"0x{STRANGE:064x}":
            await asyncio.sleep(0.02)


async def marked(url: str) -> dict[str, str | None]:
    found = await postgres.fetch(url, "SELECT pool_id, unknown_class FROM vesu_pools")
    return {row["pool_id"]: row["unknown_class"] for row in found}


@pytest.mark.parametrize("cut", [1, 5])
async def test_an_unknown_class_marks_its_pool_alone(cut: int, migrated_database_url: str) -> None:
    url, node = migrated_database_url, Classes()
    await chain.index(url, chain.HONEST, cut)
    before = await chain.rows(url)
    await look(url, node)
    expected = {f"0x{chain.OURS:064x}": None, THEIRS: f"0x{STRANGE:064x}"}
    assert await marked(url) == expected
    after = await chain.rows(url)
    assert {table for table in before if before[table] != after[table]} == {"vesu_pools"}
    assert await chain.rows(url, chain.OURS) == {
        table: [row for row in rows if THEIRS not in row and f"0x{chain.OURS:064x}" in row]
        for table, rows in before.items()
    }
    async with database.session(url) as connection:
        (strange,) = await status.unknown_classes(connection)
        assert (strange.address, strange.pools) == (THEIRS, 1)
        shown = {one.pool_id: one.unknown_class for one in (await pools.find(connection)).pools}
    assert shown == expected
    # Who writes the row again says so, too, and so does a replay.
    await chain.index(url, [*chain.HONEST, [chain.context(chain.THEIRS, 6)]], first=6)
    assert await marked(url) == expected
    await chain.replayed(url)
    assert await marked(url) == expected


async def test_a_class_that_is_named_while_a_block_is_written_marks_its_pool(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block writes the rows as its beginning knew them; the next look marks them again."""
    url, node = migrated_database_url, Classes()
    await chain.index(url, chain.HONEST)
    read_classes = memory.Memory.read_classes

    async def read_then_look(self: memory.Memory, connection: memory.Connection) -> None:
        await read_classes(self, connection)
        if not node.asked and connection.is_in_transaction():
            await look(url, node)

    monkeypatch.setattr(memory.Memory, "read_classes", read_then_look)
    await chain.index(url, [*chain.HONEST, [chain.context(chain.THEIRS, 6)]], first=6)
    assert node.asked
    node.asked.clear()
    await look(url, node)
    assert node.asked == []
    before = await marked(url)
    assert before[THEIRS] == f"0x{STRANGE:064x}"
    await chain.replayed(url)
    assert await marked(url) == before


async def test_a_pool_is_marked_while_the_node_cannot_tell_another_contract(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that was written without a stored answer; the next look has a contract to ask."""
    url, node = migrated_database_url, Classes()
    await chain.index(url, chain.HONEST)
    await look(url, node)
    await postgres.execute(url, "UPDATE vesu_pools SET unknown_class = NULL")
    await postgres.execute(url, f"DELETE FROM contract_classes WHERE address <> '{THEIRS}'")
    node.failing = {chain.OURS}
    monkeypatch.setattr(class_watcher, "LOOK_SECONDS", 0.01)
    async with running(url, node):
        await until_marked(url)
        # Also once the node has failed, and is left alone.
        await postgres.execute(url, "UPDATE vesu_pools SET unknown_class = NULL")
        await until_marked(url)
    assert node.asked[2:] == [chain.OURS]


async def test_a_contract_that_the_node_cannot_tell_does_not_keep_others_from_being_asked(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, node = migrated_database_url, Classes()
    await chain.index(url, chain.HONEST)
    node.failing = {chain.OURS}
    monkeypatch.setattr(class_watcher, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(class_watcher, "PAUSE_SECONDS", 0.01)
    async with running(url, node):
        await until_marked(url)
        assert set(node.asked) >= {chain.OURS, chain.THEIRS}
        node.failing.clear()
        async with asyncio.timeout(60):
            while len(await postgres.fetch(url, ASKED)) < 2:
                await asyncio.sleep(0.02)


async def test_an_upgrade_is_asked_again_and_a_known_class_is_not(
    migrated_database_url: str,
) -> None:
    url, node = migrated_database_url, Classes()
    await chain.index(url, chain.HONEST)
    await look(url, node)
    node.asked.clear()
    await look(url, node)
    assert node.asked == []
    upgraded = (chain.OURS, "ContractUpgraded", [], [STRANGE])
    await chain.index(url, [*chain.HONEST, [upgraded]], first=6)
    node.at |= {chain.OURS: STRANGE, chain.THEIRS: POOL}
    await look(url, node)
    assert node.asked == [chain.OURS]
    assert set((await marked(url)).values()) == {f"0x{STRANGE:064x}"}
    await postgres.execute(
        url, "UPDATE contract_classes SET checked_at = now() - interval '2 days'"
    )
    await look(url, node)
    assert await marked(url) == {f"0x{chain.OURS:064x}": f"0x{STRANGE:064x}", THEIRS: None}
