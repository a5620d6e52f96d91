"""The database that the settings name, and connections to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import msgspec
import structlog

from indexer import config, errors, urls
from indexer.config import values
from indexer.store import database

log = structlog.get_logger(__name__)


class DatabaseLocation(msgspec.Struct, frozen=True):
    """The database's URL; `revive` restarts an embedded server that died."""

    url: str
    revive: Callable[[], None] = lambda: None


@contextlib.contextmanager
def database_location(
    settings: config.Settings, *, make: bool = False
) -> Iterator[DatabaseLocation]:
    """The configured database; with none configured, an embedded server's while inside.

    Says which database is meant where that is not obvious. ConfigError: none is configured, there
    is no embedded one yet, and it is not to be made (`make`).
    """
    if settings.database.url:
        if settings.database_note:
            url = urls.redact(settings.database.url)
            log.info("using_database", url=url, source=settings.database_note)
        yield DatabaseLocation(settings.database.url)
        return
    # Not at the top: it needs a second driver, a fifth of what `status` takes to start.
    from indexer.store import embedded

    server = embedded.EmbeddedPostgres(settings.data_folder() / "postgres")
    if server.is_made:
        log.info("using_embedded_database", folder=str(server.folder))
    elif make:
        log.info("making_embedded_database", folder=str(server.folder), size="about 50 MB")
    else:
        raise errors.ConfigError(
            f"no database is configured, and there is no embedded one in {server.folder}: set "
            "database.url or DATABASE_URL, or make an embedded one with `vesu-indexer migrate`"
        )
    url = values.with_schema(server.start(), settings.database.schema)
    try:
        yield DatabaseLocation(url, server.revive)
    finally:
        server.stop()


@contextlib.contextmanager
def database_url(settings: config.Settings, *, make: bool = False) -> Iterator[str]:
    """The URL of the database, as `database_location` finds it."""
    with database_location(settings, make=make) as location:
        yield location.url


@contextlib.asynccontextmanager
async def pool(
    settings: config.Settings, url: str, *, at_once: bool = True
) -> AsyncIterator[asyncpg.Pool]:
    """The pool of the HTTP side; sized by database.pool_min and pool_max.

    `at_once`: connect now, and fail where the database does not answer; else when first asked.
    """
    made = await database.connect_pool(
        database.DatabaseSettings(
            url,
            pool_min=settings.database.pool_min if at_once else 0,
            pool_max=settings.database.pool_max,
            acquire_timeout=settings.database.acquire_ms / 1000,
            idle_timeout=settings.database.idle_ms / 1000,
            statement_timeout=settings.api.statement_seconds,
        )
    )
    try:
        yield made
    finally:
        made.terminate()


@contextlib.asynccontextmanager
async def reader(settings: config.Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to read a database that is migrated already; says so where it is not."""
    with database_url(settings) as url:
        async with reading_connection(url) as connection:
            yield connection


@contextlib.asynccontextmanager
async def reading_connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    """The same where the URL is known already."""
    async with database.session(url) as connection:
        if await connection.fetchval("SELECT to_regclass('cursor')") is None:
            raise errors.SchemaError(
                "the database has no tables of the indexer yet: run `vesu-indexer migrate`"
            )
        yield connection
