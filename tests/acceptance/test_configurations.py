"""Changes of a pool's configuration, found block by block, are those of one look at everything."""

from __future__ import annotations

import random

import asyncpg
import msgspec
import pytest

from indexer.query import configuration, database_state
from indexer.store import database
from tests.acceptance import tables_v1

SEED = 20_261_130


async def compare(connection: asyncpg.Connection, every: int, dice: random.Random) -> int:
    """In rising order and in any order; returns how many changes there are in the end."""
    standing = await database_state.read(connection)
    numbers = [row["number"] for row in await connection.fetch("SELECT number FROM blocks")][
        ::every
    ]
    pools = {row["pool_id"] for row in await connection.fetch("SELECT pool_id FROM vesu_pools")}
    count = 0
    for pool_id in sorted(pools):
        whole = {
            number: await configuration.between(connection, pool_id, -1, number)
            for number in numbers
        }
        for order in (sorted(numbers), dice.sample(numbers, len(numbers))):
            kept = configuration.Configurations()
            for number in order:
                found = await kept.changes(connection, standing, number, pool_id)
                assert found == whole[number], (pool_id, number, SEED)
        count += len(whole[max(numbers)])
    return count


async def test_block_by_block(indexed: asyncpg.Connection) -> None:
    assert await compare(indexed, 9, random.Random(SEED)) > 100


async def test_the_same_of_earlier_generations(indexed_v1: tables_v1.Indexed) -> None:
    async with database.session(indexed_v1.url) as connection:
        assert await compare(connection, 40, random.Random(SEED)) > 20


async def test_after_a_rollback_or_a_replay_all_is_read_anew(
    indexed: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = await database_state.read(indexed)
    pool_id = await indexed.fetchval("SELECT min(pool_id) FROM vesu_pools")
    asked: list[int] = []

    async def between(connection: object, pool: str, above: int, block: int) -> list[object]:
        asked.append(above)
        return []

    monkeypatch.setattr(configuration, "between", between)
    kept = configuration.Configurations()
    for block in (50, 60, 60, 55):
        await kept.changes(indexed, standing, block, pool_id)
    assert asked == [-1, 50]
    for field in ("fork_counter", "generation"):
        other = msgspec.structs.replace(standing, **{field: getattr(standing, field) + 1})
        await kept.changes(indexed, other, 60, pool_id)
    assert asked == [-1, 50, -1, -1]


async def test_a_pool_with_very_many_changes_is_not_kept(
    indexed: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner may change a limit in every transaction."""
    monkeypatch.setattr(configuration, "MOST_KEPT", 3)
    standing = await database_state.read(indexed)
    pool_id = await indexed.fetchval(
        "SELECT pool_id FROM vesu_pool_history GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    )
    kept = configuration.Configurations()
    for _ in range(2):
        found = await kept.changes(indexed, standing, standing.block_number, pool_id)
        assert len(found) > 3
    assert found == await configuration.between(indexed, pool_id, -1, standing.block_number)
