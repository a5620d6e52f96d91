"""Migrations: yoyo, under a lock of our own, from wherever the package keeps them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from indexer import errors
from indexer.store import database

MIGRATE_KEY = 0x5645_5356
"""Advisory lock of whoever migrates; yoyo's own lock is a row that a kill leaves behind."""

PACKAGE = Path(__file__).resolve().parent.parent


def folder() -> Path:
    """Where the migrations are: in the checkout, or packed into the wheel."""
    for place in (PACKAGE.parent / "migrations", PACKAGE / "_migrations"):
        if any(place.glob("*.sql")):
            return place
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
        if not _has_table(connection, "_yoyo_migration"):
            return []
        rows = connection.execute("SELECT migration_id FROM _yoyo_migration").fetchall()
    return sorted(str(row[0]) for row in rows)


def pending(url: str) -> list[str]:
    """The names of the migrations that the database lacks, in order."""
    held = set(applied(url))
    return [name for name in known() if name not in held]


def apply(url: str) -> list[str]:
    """Apply what is missing; returns the names. SchemaError: the database is newer than this."""
    _refuse_newer(url)
    if not pending(url):
        return []
    with _alone(url) as backend:
        _refuse_newer(url)
        todo = backend.to_apply(_read())
        names = [migration.id for migration in todo]
        if names:
            backend.apply_migrations(todo)
    return names


def rollback(url: str) -> list[str]:
    """Take every migration back: drops all tables; returns the names."""
    with _alone(url) as backend:
        _refuse_newer(url)
        todo = backend.to_rollback(_read())
        names = [migration.id for migration in todo]
        if names:
            backend.rollback_migrations(todo)
    return names


def _read() -> Any:
    import yoyo

    return yoyo.read_migrations(str(folder()))


def _refuse_newer(url: str) -> None:
    unknown = sorted(set(applied(url)) - set(known()))
    if unknown:
        raise errors.SchemaError(
            f"the database holds migrations that this version does not know ({', '.join(unknown)}): "
            "it was made by a newer indexer; upgrade this one"
        )


@contextlib.contextmanager
def _alone(url: str) -> Iterator[Any]:
    """yoyo's backend, while no other process of ours migrates this database."""
    import yoyo

    with _connected(url) as connection:
        taken = connection.execute("SELECT pg_try_advisory_lock(%s)", (MIGRATE_KEY,)).fetchone()
        if not taken or not taken[0]:
            raise errors.WriterConflictError(
                "another process migrates this database just now: try again when it is done"
            )
        _require_create(connection, url)
        if _has_table(connection, "yoyo_lock"):
            # We hold the lock that counts, so a row here is what a killed migrator left.
            connection.execute("DELETE FROM yoyo_lock")
        with _mapped(url):
            backend = yoyo.get_backend(database.yoyo_url(url))
        try:
            with _mapped(url):
                yield backend
        finally:
            backend.connection.close()


def _require_create(connection: psycopg.Connection[Any], url: str) -> None:
    """Ask first: yoyo would try for ten seconds to lock a table that it may not make."""
    row = connection.execute(
        "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
    ).fetchone()
    if row is None or not row[0]:
        raise errors.DatabaseRightsError(
            f"the database role at {database.redact(url)} may not create tables: "
            "GRANT CREATE, USAGE ON SCHEMA public to it"
        )


@contextlib.contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    with _mapped(url):
        connection = psycopg.connect(database.asyncpg_url(url), autocommit=True, connect_timeout=10)
    with connection, _mapped(url):
        yield connection


def _has_table(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
    return row is not None and row[0] is not None


@contextlib.contextmanager
def _mapped(url: str) -> Iterator[None]:
    """Turn psycopg's errors into ours, each one clear line."""
    where = database.redact(url)
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise errors.DatabaseRightsError(
            f"the database role at {where} may not create tables: {_first(error)}; "
            "GRANT CREATE, USAGE ON SCHEMA public to it"
        ) from error
    except psycopg.OperationalError as error:
        raise errors.DatabaseUnavailableError(
            f"cannot use the database at {where}: {_first(error)}; is PostgreSQL running, and "
            "are address, name, user and password right?"
        ) from error


def _first(error: psycopg.Error) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
