"""Migrations: yoyo, under a lock of our own, from wherever the package keeps them."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg import sql

from indexer import errors, urls
from indexer.store import blocking, database

log = structlog.get_logger(__name__)

MIGRATE_KEY = 0x5645_5356
"""Advisory lock of whoever migrates; yoyo's own lock is a row that a kill leaves behind."""

TURN_SECONDS = 60.0

PACKAGE = Path(__file__).resolve().parent.parent


def folder() -> Path:
    """Where the migrations are: packed into the wheel, or in the checkout.

    The wheel's come first: beside an installed package another one's `migrations` may stand.
    """
    for folder in (PACKAGE / "_migrations", PACKAGE.parent / "migrations"):
        if any(folder.glob("*.sql")):
            return folder
    raise errors.SchemaError(
        "the package holds no migrations: install it again (a checkout has them in migrations/)"
    )


def known() -> list[str]:
    """The names of all migrations that this version knows, in order."""
    return sorted(
        path.stem for path in folder().glob("*.sql") if not path.stem.endswith(".rollback")
    )


def checksums() -> dict[str, str]:
    """SHA-256 of each migration file; the released ones stand in migrations/CHECKSUMS."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder().glob("*.sql"))
    }


def applied(url: str) -> list[str]:
    """The names of the migrations that the database holds, in order."""
    with _connected(url) as connection:
        return _applied(connection)


def _applied(connection: psycopg.Connection[Any]) -> list[str]:
    if not _has_table(connection, "_yoyo_migration"):
        return []
    rows = connection.execute("SELECT migration_id FROM _yoyo_migration").fetchall()
    return sorted(str(row[0]) for row in rows)


def pending(url: str) -> list[str]:
    """The names of the migrations that the database lacks, in order."""
    applied_ids = set(applied(url))
    return [name for name in known() if name not in applied_ids]


def apply(url: str) -> list[str]:
    """Apply what is missing, each migration wholly or not at all; returns the names.

    SchemaError: the database is newer than this version, or holds tables that are in the way.
    """
    with _connected(url) as connection:
        _refuse_newer(connection)
        if not set(known()) - set(_applied(connection)):
            return []
        _refuse_collisions(connection, url)
        with _alone(connection, url) as backend:
            _refuse_newer(connection)
            return [_move(backend, migration, "apply") for migration in backend.to_apply(_read())]


def upgrade(url: str) -> list[str]:
    """Apply what is missing, as `apply` does, and log the names where there were any."""
    applied_now = apply(url)
    if applied_now:
        log.info("migrated", applied=applied_now)
    return applied_now


def upgrade_again(url: str) -> None:
    """Apply what is missing once more; what a newer version has applied meanwhile is left be."""
    with _connected(url) as connection:
        newer = sorted(set(_applied(connection)) - set(known()))
    if newer:
        log.warning("schema_newer", migrations=newer)
    else:
        upgrade(url)


def require(url: str) -> None:
    """Refuse a database that lacks migrations; a newer one is taken as it is. SchemaError."""
    lacking = pending(url)
    if lacking == known():
        raise errors.SchemaError(
            "the database has no tables of the indexer yet: run `vesu-indexer migrate`"
        )
    if lacking:
        raise errors.SchemaError(
            f"the database lacks migrations: {len(lacking)}, {lacking[0]} is the first; run "
            "`vesu-indexer migrate`"
        )


def require_same(url: str) -> None:
    """Refuse a database that lacks migrations or has newer ones; names which. SchemaError."""
    found = set(applied(url))
    lacking = [name for name in known() if name not in found]
    newer = sorted(found - set(known()))
    if lacking:
        raise errors.SchemaError(
            f"{urls.redact(url)} lacks migrations: {len(lacking)}, {lacking[0]} is the first; run "
            "`vesu-indexer migrate` on it"
        )
    if newer:
        raise errors.SchemaError(
            f"{urls.redact(url)} was made by a newer indexer (it holds {newer[-1]}): ask with that "
            "version, and run its `vesu-indexer migrate` on the other database"
        )


def rollback(url: str) -> list[str]:
    """Take every migration back: drops all tables; returns the names.

    The caller holds the writer's lock, so that no indexer loses its tables while it runs.
    """
    with _connected(url) as connection, _alone(connection, url) as backend:
        _refuse_newer(connection)
        return [_move(backend, migration, "rollback") for migration in backend.to_rollback(_read())]


def _move(backend: Any, migration: Any, direction: str) -> str:
    """Apply or roll back one migration and note it, in one transaction (but for those that
    say `transactional: false`).

    yoyo notes it in a second one: a kill between the two would leave tables that no later
    `apply` gets past.
    """
    migration.load()
    whole = backend.transaction() if migration.use_transactions else contextlib.nullcontext()
    with whole:
        migration.process_steps(backend, direction)
        backend.log_migration(migration, direction)
        note = backend.mark_one if direction == "apply" else backend.unmark_one
        note(migration, log=False)
    return str(migration.id)


def _read() -> Any:
    import yoyo

    return yoyo.read_migrations(str(folder()))


def _refuse_newer(connection: psycopg.Connection[Any]) -> None:
    unknown = sorted(set(_applied(connection)) - set(known()))
    if unknown:
        raise errors.SchemaError(
            f"the database holds migrations unknown to this version ({', '.join(unknown)}): "
            "it was made by a newer indexer; upgrade this one"
        )


@contextlib.contextmanager
def _alone(connection: psycopg.Connection[Any], url: str) -> Iterator[Any]:
    """yoyo's backend, while no other process of ours migrates this database."""
    from indexer.store import yoyo_backend

    _take_turn(connection)
    _make_schema(connection)
    _require_create(connection, url)
    if _has_table(connection, "yoyo_lock"):
        # The advisory lock counts and is held here: a row is what a killed migrator left.
        connection.execute("DELETE FROM yoyo_lock")
    with (
        _translated_errors(url),
        yoyo_backend.opened(url) as backend,
        blocking.watched(connection, backend.connection),
    ):
        yield backend


def relations(names: Iterable[str]) -> set[str]:
    """The tables, views and indexes that these migrations create; of vesu_guide, qualified."""
    text = "\n".join((folder() / f"{name}.sql").read_text("utf-8") for name in names)
    return set(re.findall(r"^CREATE (?:TABLE|VIEW|(?:UNIQUE )?INDEX) ([\w.]+)", text, re.MULTILINE))


def collisions(url: str) -> list[str]:
    """Names that pending migrations create and something of the schema has already."""
    with _connected(url) as connection:
        return _collisions(connection)


def _collisions(connection: psycopg.Connection[Any]) -> list[str]:
    applied_here = set(_applied(connection)) & set(known())
    pending_relations = relations(set(known()) - applied_here) - relations(applied_here)
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(CASE "
        "WHEN name LIKE '%%.%%' THEN name "
        "ELSE quote_ident(current_schema()) || '.' || quote_ident(name) END) IS NOT NULL "
        "ORDER BY name",
        (sorted(pending_relations),),
    ).fetchall()
    return [str(row[0]) for row in rows]


def _refuse_collisions(connection: psycopg.Connection[Any], url: str) -> None:
    """Asked before the first statement: nothing is left half-way."""
    if found := _collisions(connection):
        raise errors.SchemaError(
            f"the database at {urls.redact(url)} holds {', '.join(found)}, which the indexer did "
            "not make: name a database of the indexer's own, or a schema (database.schema, such as "
            "VESU_DATABASE_SCHEMA=vesu)"
        )


def _make_schema(connection: psycopg.Connection[Any]) -> None:
    """Make the schema that the search path names, as database.schema does, if it is not there."""
    row = connection.execute("SELECT current_schema(), current_setting('search_path')").fetchone()
    assert row is not None  # a SELECT without FROM
    name = row[1].partition(",")[0].strip().strip('"')
    if row[0] is None and name and name not in ("$user", "public"):
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))


def _take_turn(connection: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + TURN_SECONDS
    while not _try_lock(connection, MIGRATE_KEY):
        if time.monotonic() > deadline:
            raise errors.WriterConflictError(
                f"another process has been migrating this database for {TURN_SECONDS:.0f} s: "
                "try again when it is done"
            )
        time.sleep(0.1)


def _try_lock(connection: psycopg.Connection[Any], key: int) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
    return row is not None and bool(row[0])


def _require_create(connection: psycopg.Connection[Any], url: str) -> None:
    """Ask first: yoyo would try for ten seconds to lock a table that it may not make."""
    where = urls.redact(url)
    row = connection.execute(
        "SELECT current_setting('transaction_read_only')::boolean, "
        "coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), "
        "to_regnamespace('vesu_guide') IS NOT NULL "
        "OR has_database_privilege(current_database(), 'CREATE'), quote_ident(current_database())"
    ).fetchone()
    assert row is not None  # a SELECT without FROM
    if row[0]:
        raise errors.DatabaseRightsError(
            f"the database at {where} is read-only, as a standby is: name the primary"
        )
    if not row[1]:
        raise errors.DatabaseRightsError(
            f"the database role at {where} may not create tables: "
            "GRANT CREATE, USAGE ON SCHEMA public to it"
        )
    if not row[2]:
        raise errors.DatabaseRightsError(
            f"the database role at {where} may not create the schema vesu_guide: "
            f"GRANT CREATE ON DATABASE {row[3]} to it"
        )


@contextlib.contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    with _translated_errors(url), blocking.connected(url) as connection:
        info = connection.info
        database.check_version(info.server_version // 10_000)
        database.check_encoding(info.parameter_status("server_encoding") or "", info.dbname)
        yield connection


def _has_table(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
    return row is not None and row[0] is not None


@contextlib.contextmanager
def _translated_errors(url: str) -> Iterator[None]:
    """Turn psycopg's errors into ours, each one clear line."""
    where = urls.redact(url)
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise errors.DatabaseRightsError(
            f"the database role at {where} may not create tables: {_first(error)}; "
            "GRANT CREATE, USAGE ON SCHEMA public to it"
        ) from error
    except (psycopg.errors.DuplicateTable, psycopg.errors.DuplicateObject) as error:
        raise errors.SchemaError(
            f"the database at {where} holds something of that name already: {_first(error)}; "
            "name a database of the indexer's own"
        ) from error
    except psycopg.OperationalError as error:
        raise errors.DatabaseUnavailableError(
            f"cannot use the database at {where}: {_first(error)}; is PostgreSQL running, and "
            "are address, name, user and password right?"
        ) from error
    except psycopg.Error as error:
        if error.sqlstate is None:
            message = _first(error).replace(database.libpq_url(url), where)
            raise errors.ConfigError(f"database.url: {where} cannot be used: {message}") from error
        raise errors.SchemaError(f"migrating {where} failed: {_first(error)}") from error


def _first(error: psycopg.Error) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
