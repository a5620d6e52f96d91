"""A check that could not be done is stored, and makes health bad until one is done."""

from __future__ import annotations

import functools
from typing import Any

import asyncpg
import pytest

from indexer import errors
from indexer.audit import reconcile, reconciliations
from indexer.daemon import reconciler
from indexer.query import status
from indexer.store import database

FILLED = """
INSERT INTO cursor (chain_id, start_block, block_number, block_hash, block_timestamp, fold_version)
VALUES ('0x1', 0, 5, '0x5', clock_timestamp(), 2);
INSERT INTO chain_head (block_number, block_hash, block_timestamp, seen_at)
VALUES (5, '0x5', clock_timestamp(), clock_timestamp());
"""


@pytest.mark.parametrize(
    ("error", "bad_after"),
    [
        (asyncpg.UniqueViolationError("duplicate key"), 1),
        (errors.FatalNodeError("the node refuses"), 1),
        (errors.NodeUnreachableError("no answer"), 3),
        (asyncpg.ConnectionDoesNotExistError("connection was closed"), 3),
    ],
)
async def test_health_is_bad_until_the_check_is_done(
    migrated_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    bad_after: int,
) -> None:
    connect = functools.partial(database.session, migrated_database_url)

    async def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(reconcile, "check", fails)
    watcher = reconciler.Reconciler(None, connect, {}, 300, 10, 0.0)  # type: ignore[arg-type]
    async with connect() as connection:
        await connection.execute(FILLED)
        assert (await status.freshness(connection)).is_fresh
        for attempt in range(1, bad_after + 1):
            await watcher._look()
            found = await status.freshness(connection)
            assert found.is_fresh == (attempt < bad_after)
        times = "1 time" if bad_after == 1 else f"{bad_after} times"
        assert found.reason.startswith(f"the check reconcile could not be done {times} in a row")
        assert str(error) in found.reason
        await reconciliations.note_done(connection, reconciler.NAME)
        assert (await status.freshness(connection)).is_fresh
