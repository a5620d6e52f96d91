"""yoyo's backend for psycopg, as this project needs it."""

from __future__ import annotations

import contextlib
import datetime
import getpass
import os
import socket
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
from yoyo import connections, migrations
from yoyo.backends.core import postgresql

from indexer.store import blocking


class Backend(postgresql.PostgresqlPsycopgBackend):  # type: ignore[misc]
    """Connects as the rest of the project does, and needs no user with a name.

    yoyo's own parser refuses a URL with several hosts, and its log asks the system for the name
    of the user, which a container's arbitrary user id does not have.
    """

    def connect(self, dburi: connections.DatabaseURI) -> psycopg.Connection[Any]:
        """A connection to the first host that fits."""
        return psycopg.connect(dburi.args["conninfo"], autocommit=True)

    def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
        """The row of yoyo's log: who did what when."""
        return {
            "id": str(uuid.uuid1()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": _user(),
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
            "operation": operation,
        }


@contextlib.contextmanager
def opened(url: str) -> Iterator[Backend]:
    """A backend with yoyo's tables made, while inside."""
    conninfo = blocking.parameters(url)
    uri = connections.DatabaseURI(
        scheme="postgresql+psycopg",
        username=None,
        password=None,
        hostname=None,
        port=None,
        database=None,
        args={"conninfo": conninfo},
    )
    backend = Backend(uri, migrations.default_migration_table)
    try:
        backend.init_database()
        yield backend
    finally:
        backend.connection.close()


def _user() -> str:
    """The name of the user who migrates; the number of one without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user id {os.getuid()}"
