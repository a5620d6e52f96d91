"""The way to PostgreSQL: URLs in every spelling, connections, pools, errors in plain words."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import re
import shlex
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import msgspec
import structlog

from indexer import errors, urls
from indexer.store import connection as connections

log = structlog.get_logger(__name__)

OLDEST_SERVER = 13
FULL_SECONDS = 3.0
"""How long a server without a free connection is asked again; ended ones take a moment."""

ENCODING = "UTF8"

CONNECTION_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""Everything that a connection in use may raise."""

GOING_ON = (
    "nothing was half-written; `run` goes on once it is back, any other command is started again "
    "then"
)
"""What holds after a loss of the database, and what is to be done."""

PASSING = (
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
)
"""What the same transaction, tried again later, may get past: deadlocks, time-outs, full disks."""

APPLICATION = "vesu-indexer"

LIBPQ_ONLY = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "gssdelegation",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "max_protocol_version",
        "min_protocol_version",
        "replication",
        "require_auth",
        "requirepeer",
        "requiressl",
        "sslcertmode",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
"""Parameters of a URL for psycopg alone; the URLs that hosting firms give out have them."""

_HOST = r"(?:\[[^\s@/?#\[\]]+\]|[^\s@/?#:\[\]]*)(?::\d*)?"
_QUOTED = re.compile(
    rf"(?:[^\s@/?#]*@)?{_HOST}(?:,{_HOST})*(?:/[^\s@/?#]*)?(?:\?(?:\w+=[^\s#&]*(?:&|$))*)?"
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class DatabaseSettings(msgspec.Struct, frozen=True):
    """Where the database is and how many connections a pool may hold; times in seconds."""

    url: str
    pool_min: int = 1
    pool_max: int = 10
    acquire_timeout: float = 30.0
    idle_timeout: float = 10.0
    statement_timeout: float = 10.0


def asyncpg_url(url: str) -> str:
    """The URL as asyncpg takes it: plain, and without what only libpq understands.

    asyncpg would pass those parameters on to the server, which refuses them.
    """
    base, mark, query = libpq_url(url).partition("?")
    kept = [item for item in query.split("&") if item.partition("=")[0] not in LIBPQ_ONLY]
    return base + (mark + "&".join(kept) if kept and mark else "")


def libpq_url(url: str) -> str:
    """The URL as psycopg takes it: plain `postgresql://`, whatever driver was named."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme.split("+")[0] not in ("postgresql", "postgres"):
        # Not even a part of it is repeated: who knows where in it the password stands.
        raise errors.ConfigError(
            "database.url is not a PostgreSQL URL; write postgresql://user:password@host:5432/name"
        )
    if not _QUOTED.fullmatch(rest) or _BAD_ESCAPE.search(rest):
        # The drivers would take a piece of the password for a host, and say so.
        raise errors.ConfigError(
            "database.url cannot be read; write postgresql://user:password@host:5432/name, and in "
            "user, password and name %40 for @, %2F for /, %3F for ?, %23 for #, %25 for %, %20 "
            "for a space"
        )
    return f"postgresql://{rest}"


def one_host_each(url: str) -> list[str]:
    """URLs that name one host each, in the order in which they are to be tried.

    Hosts and ports stand in the authority (`h1:5432,h2`) or in the query (`host=h1,h2&port=1,2`);
    one port holds for all hosts. `prefer-standby` tries each host for a standby, then for any.
    """
    authority, path, query = _parts(url)
    login, separator, host_list = authority.rpartition("@")
    options = dict(item.partition("=")[::2] for item in query.split("&") if item)
    hosts = re.split(r",|%2[Cc]", options.get("host", "") or host_list)
    ports = re.split(r",|%2[Cc]", options.get("port", ""))
    if len(hosts) == 1:
        return [url]
    if len(ports) not in (1, len(hosts)):
        raise errors.ConfigError(
            f"database.url names {len(hosts)} hosts and {len(ports)} ports: give one port for "
            "all of them, or one each"
        )
    target_attrs = options.get("target_session_attrs", "any")
    found = []
    for attribute in ("standby", "any") if target_attrs == "prefer-standby" else (target_attrs,):
        for host, port in zip(hosts, ports * (len(hosts) // len(ports)), strict=True):
            each = {"host": host, "port": port, "target_session_attrs": attribute}
            own = options | {name: text for name, text in each.items() if name in options}
            host_and_port = "" if "host" in options else host
            text = "&".join(f"{name}={value}" for name, value in own.items())
            found.append(f"postgresql://{login}{separator}{host_and_port}{path}?{text}")
    return found


def _parts(url: str) -> tuple[str, str, str]:
    """Authority, path with its slash, and query of a URL that `libpq_url` has checked."""
    rest, _, query = url.partition("://")[2].partition("?")
    authority, slash, name = rest.partition("/")
    return authority, slash + name, query


@contextlib.contextmanager
def translated_errors(url: str) -> Iterator[None]:
    """Turn the driver's errors of connecting into ours, each one clear line."""
    where = urls.redact(url)
    try:
        yield
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise errors.DatabaseRightsError(
            f"the database refuses the login at {where}: {error}; check user and password"
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise errors.DatabaseRightsError(
            f"the database role at {where} lacks a right: {error}; GRANT it "
            "(docs/operations.md, Roles)"
        ) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise errors.DatabaseUnavailableError(
            f"{error} at {where}: create it with `createdb`, or name another one"
        ) from error
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise errors.DatabaseUnavailableError(
            f"no host of {where} is what target_session_attrs asks for: name the host that is"
        ) from error
    except (ValueError, asyncpg.UndefinedObjectError) as error:
        raise errors.ConfigError(f"database.url: {where} cannot be used: {error}") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise errors.DatabaseUnavailableError(
            f"cannot reach the database at {where}: {_reason(error)}; is "
            "PostgreSQL running and the address right?"
        ) from error


_CONNECT_FAILED = re.compile(r"\[Errno (\d+)\] Connect call failed \([^)]*\)")


def _reason(error: BaseException) -> str:
    """Why a connection failed, in the system's words, each said once."""
    text = str(error) or type(error).__name__
    failed = dict.fromkeys(os.strerror(int(number)) for number in _CONNECT_FAILED.findall(text))
    return ", ".join(failed) or text


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection is over: the server said so (shut down, crashed, told to), the
    socket did before asyncpg saw it closed, asyncpg was caught between the two, or an answer did
    not come within its limit."""
    ends = (
        ConnectionError,
        TimeoutError,
        asyncpg.InternalClientError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        asyncpg.IdleInTransactionSessionTimeoutError,
        asyncpg.PostgresConnectionError,
    )
    return isinstance(error, ends)


async def close(connection: asyncpg.Connection) -> None:
    """End a connection, whatever state it is in: one that does not end in time is terminated."""
    try:
        await connection.close()
    except CONNECTION_ERRORS as error:
        log.debug("connection_dropped", reason=str(error))
        connection.terminate()


async def connect(url: str) -> connections.Connection:
    """One connection, checked to be new enough, none of whose waits is without a limit.

    Of several hosts the first that fits `target_session_attrs` is used.
    """
    require_user(url)
    with translated_errors(url):
        made = await _one_patiently(url)
        try:
            check_version(made.get_server_version().major)
            await made.identify()
        except BaseException:
            made.terminate()
            raise
    connections.watch(made, lambda: _connect_once(url))
    return made


async def _one_patiently(url: str) -> connections.Connection:
    """A connection; where the server has none left, the ones that just ended are waited for."""
    deadline = time.monotonic() + FULL_SECONDS
    while True:
        try:
            return await _connect_once(url)
        except asyncpg.TooManyConnectionsError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)


async def _connect_once(url: str) -> connections.Connection:
    return await _first_that_fits(
        asyncpg_url(url),
        timeout=connections.CONNECT_SECONDS,
        command_timeout=connections.LONGEST_SECONDS,
        connection_class=connections.Connection,
        server_settings={"application_name": APPLICATION},
    )


async def _first_that_fits(url: str, **options: Any) -> connections.Connection:
    """A connection to the first host that takes it; `timeout` holds for each.

    asyncpg gives all hosts together one limit, which a silent first one uses up.
    """
    failure: Exception | None = None
    for one_host in one_host_each(url):
        try:
            made: connections.Connection = await asyncpg.connect(one_host, **options)
        except (
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.TargetServerAttributeNotMatched,
        ) as error:
            # The first that answered says more than a later one that did not.
            failure = failure if isinstance(failure, asyncpg.PostgresError) else error
        else:
            return made
    assert failure is not None, "a URL names one host at least"
    raise failure


@contextlib.asynccontextmanager
async def session(url: str) -> AsyncIterator[connections.Connection]:
    """One connection while inside; the driver's errors in it become errors of this project.

    Raises SchemaError where a table or column is missing, DatabaseRightsError where the role
    lacks a right, DatabaseReadOnlyError on a standby, DatabaseRefusalError for what the same
    transaction may get past later, and DatabaseUnavailableError where the connection is lost.
    """
    connection = await connect(url)
    try:
        yield connection
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise errors.SchemaError(
            f"the tables at {urls.redact(url)} are not those of this version ({error}): run "
            "`vesu-indexer migrate`; `vesu-indexer doctor` says what is in the way"
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise errors.DatabaseRightsError(
            f"the database role lacks a right: {error}; GRANT it (docs/operations.md, Roles)"
        ) from error
    except asyncpg.ReadOnlySQLTransactionError as error:
        raise errors.DatabaseReadOnlyError(
            f"the database at {urls.redact(url)} takes no writes ({error}), as a standby does: "
            "name the primary"
        ) from error
    except PASSING as error:
        raise errors.DatabaseRefusalError(
            f"the database at {urls.redact(url)} cannot for now ({type(error).__name__}: "
            f"{error}); {GOING_ON}"
        ) from error
    except CONNECTION_ERRORS as error:
        # The server's last word may arrive before the connection is seen to be closed.
        if not connection.is_closed() and not is_connection_lost(error):
            raise
        raise errors.DatabaseUnavailableError(
            f"the connection to the database at {urls.redact(url)} was lost "
            f"({str(error) or type(error).__name__}); {GOING_ON}"
        ) from error
    finally:
        await close(connection)


async def connect_pool(settings: DatabaseSettings) -> asyncpg.Pool:
    """A pool for readers: nothing on it writes, and no statement takes longer than it may."""
    milliseconds = str(max(1, int(settings.statement_timeout * 1000)))
    # The pool makes its sessions read-only: a host that takes writes is a primary.
    url = asyncpg_url(settings.url).replace("=read-write", "=primary")
    with translated_errors(settings.url):
        create: Any = asyncpg.create_pool  # its stubs demand a connect without options
        pool: asyncpg.Pool = await create(
            url,
            connect=_first_that_fits,
            min_size=settings.pool_min,
            max_size=settings.pool_max,
            max_inactive_connection_lifetime=settings.idle_timeout,
            timeout=connections.CONNECT_SECONDS,
            command_timeout=settings.acquire_timeout,
            connection_class=connections.ReadConnection,
            server_settings={
                "application_name": f"{APPLICATION} reader",
                "default_transaction_read_only": "on",
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": milliseconds,
                # Compiling takes longer than any of the readers' statements gain by it.
                "jit": "off",
            },
        )
        return pool


def check_version(major: int) -> None:
    """SchemaError: a server of this major version lacks what the indexer needs."""
    if major < OLDEST_SERVER:
        raise errors.SchemaError(
            f"the database runs PostgreSQL {major}; the indexer needs {OLDEST_SERVER} or newer"
        )


def check_encoding(encoding: str, name: str) -> None:
    """SchemaError: a database with this encoding cannot hold the names of every token."""
    if encoding != ENCODING:
        raise errors.SchemaError(
            f"the database {name} has the encoding {encoding}, in which not every name of a token "
            f"can be stored: make one with `createdb --template=template0 --encoding={ENCODING} "
            f"--locale=C {shlex.quote(f'{name}_utf8')}`, and name it in database.url"
        )


def require_user(url: str) -> None:
    """ConfigError: the URL names no user, and neither does anything that stands for it."""
    authority, _, query = _parts(libpq_url(url))
    names = {item.partition("=")[0] for item in query.split("&")}
    login = authority.rpartition("@")[0].partition(":")[0]
    if login or names & {"user", "service"} or os.environ.keys() & {"PGUSER", "PGSERVICE"}:
        return
    try:
        getpass.getuser()
    except (KeyError, OSError):
        raise errors.ConfigError(
            f"database.url names no user, and user id {os.getuid()} has no name on this machine: "
            "write postgresql://USER@…, or set PGUSER"
        ) from None
