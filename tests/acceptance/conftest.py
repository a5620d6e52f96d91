"""Fixtures of the acceptance tests: recorded chains, indexed by the shipped command."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from indexer.store import database
from tests import node_modules, postgres
from tests.acceptance import api_client, stage, tables_v1, truth, truth_v1


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Some tests need Node; test_sequelize_is_run.py says where they are left out."""
    if collection_path.name == "test_sequelize.py" and node_modules.missing():
        return True
    if collection_path.name == "test_node.py" and not node_modules.has_node():
        return True
    return None


@pytest.fixture(scope="session")
def recorded() -> truth.Recorded:
    return truth.devnet_a()


@pytest.fixture(scope="session")
async def indexed_once(recorded: truth.Recorded) -> AsyncIterator[str]:
    """A database that `vesu-indexer run` filled from the whole of devnet-a; only to be copied."""
    async with stage.filled(recorded, migrated=False) as url:
        yield url


@pytest.fixture(scope="session")
async def indexed_url(indexed_once: str) -> AsyncIterator[str]:
    """A copy of it for all tests, which leave its tables as they are."""
    async with postgres.fresh_database(copy_of=indexed_once) as url:
        yield url


@pytest.fixture
async def indexed_copy(indexed_once: str) -> AsyncIterator[str]:
    """A copy of it for one test, to spoil."""
    async with postgres.fresh_database(copy_of=indexed_once) as url:
        yield url


@pytest.fixture
async def indexed(indexed_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect(indexed_url)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def filled_v1(name: str) -> AsyncIterator[tables_v1.Indexed]:
    """A database that `vesu-indexer run` filled from a whole recording of Vesu V1."""
    recorded = truth_v1.recorded(name)
    async with stage.filled(recorded, recorded.chain, migrated=False) as url:
        yield await tables_v1.Indexed.read(recorded, url)


FilledOnce = Callable[[str], Awaitable[tables_v1.Indexed]]


@pytest.fixture(scope="session")
async def indexed_v1_once() -> AsyncIterator[FilledOnce]:
    """Those databases, each filled when it is first asked for; only to be copied."""
    made: dict[str, tables_v1.Indexed] = {}
    async with contextlib.AsyncExitStack() as kept:

        async def once(name: str) -> tables_v1.Indexed:
            if name not in made:
                made[name] = await kept.enter_async_context(filled_v1(name))
            return made[name]

        yield once


@pytest.fixture(scope="session", params=truth_v1.RECORDINGS)
async def indexed_v1(
    request: pytest.FixtureRequest, indexed_v1_once: FilledOnce
) -> AsyncIterator[tables_v1.Indexed]:
    """A copy of one of them, for all tests of a file."""
    once = await indexed_v1_once(request.param)
    async with postgres.fresh_database(copy_of=once.url) as url:
        yield once._replace(url=url)


@pytest.fixture
async def api(indexed_url: str) -> AsyncIterator[api_client.Client]:
    """The API over the whole of devnet-a."""
    async with api_client.serving(indexed_url) as client:
        yield client
