"""Questions that commands ask of the configured database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg

from indexer import config
from indexer.app import databases
from indexer.commands import arguments, event_loop
from indexer.query import names, point_in_time

T = TypeVar("T")


def ask(config_file: Path | None, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """The configured database's answer to a question."""
    return event_loop.run(_answer(arguments.settings(config_file), question))


def ask_of_pool(
    config_file: Path | None,
    pool: int | str | None,
    find: Callable[[asyncpg.Connection, int | None, point_in_time.When], Awaitable[T]],
    at: point_in_time.When,
) -> T:
    """The answer to a question about a pool (None: all), given by id, address or name."""

    async def question(connection: asyncpg.Connection) -> T:
        pool_id = None if pool is None else await names.pool(connection, pool)
        return await find(connection, pool_id, at)

    return ask(config_file, question)


async def _answer(
    settings: config.Settings, question: Callable[[asyncpg.Connection], Awaitable[T]]
) -> T:
    async with databases.reader(settings) as connection:
        return await question(connection)
