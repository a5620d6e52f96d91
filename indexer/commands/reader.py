"""Questions that commands ask of the configured database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg

from indexer import app, config
from indexer.commands import arguments, event_loop

T = TypeVar("T")


def ask(config_file: Path | None, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """The configured database's answer to a question."""
    return event_loop.run(_answer(arguments.settings(config_file), question))


async def _answer(
    settings: config.Settings, question: Callable[[asyncpg.Connection], Awaitable[T]]
) -> T:
    async with app.reader(settings) as connection:
        return await question(connection)
