"""The way to PostgreSQL: URLs in every spelling, connections, pools, errors in plain words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib import parse

import asyncpg
import msgspec

from indexer import errors

OLDEST_SERVER = 13
APPLICATION = "vesu-indexer"


class DatabaseSettings(msgspec.Struct, frozen=True):
    """Where the database is and how many connections a pool may hold; times in seconds."""

    url: str
    pool_min: int = 1
    pool_max: int = 10
    acquire_timeout: float = 30.0
    idle_timeout: float = 10.0


def asyncpg_url(url: str) -> str:
    """The URL as asyncpg takes it: plain `postgresql://`, whatever driver was named."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise errors.ConfigError(
            f"database.url: {redact(url)!r} is not a PostgreSQL URL; write "
            "postgresql://user:password@host:5432/name"
        )
    return f"postgresql://{rest}"


def yoyo_url(url: str) -> str:
    """The URL as yoyo takes it for psycopg 3."""
    return "postgresql+psycopg://" + asyncpg_url(url).partition("://")[2]


def redact(url: str) -> str:
    """The URL without its password."""
    parts = parse.urlsplit(url)
    query = "&".join(
        "password=***" if item.startswith("password=") else item for item in parts.query.split("&")
    )
    netloc = parts.netloc
    if "@" in netloc:
        user, _, host = netloc.rpartition("@")
        netloc = f"{user.split(':')[0]}{':***' if ':' in user else ''}@{host}"
    return parse.urlunsplit((parts.scheme, netloc, parts.path, query, ""))


@contextlib.contextmanager
def mapped_errors(url: str) -> Iterator[None]:
    """Turn the driver's connection errors into ours, each one clear line."""
    where = redact(url)
    try:
        yield
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise errors.DatabaseRightsError(
            f"the database refuses the login at {where}: {error}; check user and password"
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise errors.DatabaseRightsError(
            f"the database role at {where} lacks a right: {error}; grant it (README, Database)"
        ) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise errors.DatabaseUnavailableError(
            f"{error} at {where}: create it with `createdb`, or name another one"
        ) from error
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
        raise errors.DatabaseUnavailableError(
            f"cannot reach the database at {where}: {error or type(error).__name__}; is "
            "PostgreSQL running and the address right?"
        ) from error


async def connect(url: str) -> asyncpg.Connection:
    """One connection, checked to be new enough."""
    with mapped_errors(url):
        connection: asyncpg.Connection = await asyncpg.connect(
            asyncpg_url(url), timeout=10, server_settings={"application_name": APPLICATION}
        )
    try:
        _check_version(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


async def connect_pool(settings: DatabaseSettings) -> asyncpg.Pool:
    """A pool for readers."""
    with mapped_errors(settings.url):
        return await asyncpg.create_pool(
            asyncpg_url(settings.url),
            min_size=settings.pool_min,
            max_size=settings.pool_max,
            max_inactive_connection_lifetime=settings.idle_timeout,
            timeout=10,
            command_timeout=settings.acquire_timeout,
            server_settings={"application_name": f"{APPLICATION} reader"},
        )


def _check_version(connection: asyncpg.Connection) -> None:
    major = connection.get_server_version().major
    if major < OLDEST_SERVER:
        raise errors.SchemaError(
            f"the database runs PostgreSQL {major}; the indexer needs {OLDEST_SERVER} or newer"
        )
