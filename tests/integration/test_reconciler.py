"""The daemon's checks come as often as configured, however often its session begins anew."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import Any

import pytest

from indexer import errors
from indexer.audit import reconcile
from indexer.daemon import reconciler
from indexer.store import database

EVERY = 300.0

CHECKED = """
INSERT INTO reconciliations
    (origin, checked_at, block_number, block_hash, committed_block, scope, rows, asked, compared,
     refused, differences, views, seconds)
VALUES ($1, clock_timestamp() - make_interval(secs => $2), 1, '0x1', 1, 'sample', 1, 1, 1, 0, 0,
    '{}', 1)
"""


@pytest.mark.parametrize(
    ("origin", "age", "running_for", "is_due"),
    [
        ("run", EVERY, 0.0, True),
        ("run", EVERY - 60, 0.0, False),
        ("run", 1.0, EVERY, False),
        ("command", 1.0, EVERY, True),
        (None, 0.0, EVERY, True),
        (None, 0.0, 0.0, False),
    ],
)
async def test_a_new_session_checks_when_the_last_check_is_old(
    migrated_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    origin: str | None,
    age: float,
    running_for: float,
    is_due: bool,
) -> None:
    """`running_for`: so long ago the daemon began."""
    looked = asyncio.Event()

    connect = functools.partial(database.session, migrated_database_url)

    async def check(*_: Any) -> Any:
        looked.set()
        raise errors.NodeUnreachableError("no answer")

    monkeypatch.setattr(reconcile, "check", check)
    if origin is not None:
        async with connect() as connection:
            await connection.execute(CHECKED, origin, age)
    began = time.monotonic() - running_for
    daemons = reconciler.Reconciler(None, connect, {}, EVERY, 10, began)  # type: ignore[arg-type]
    stopping = asyncio.Event()
    running = asyncio.create_task(daemons.run(stopping))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(looked.wait(), 20 if is_due else 1)
    stopping.set()
    await running
    assert looked.is_set() == is_due
