"""The index check: is every index that users and queries count on there, and valid?"""

from __future__ import annotations

import re

import asyncpg
import msgspec

from indexer.projections import tables
from indexer.store import migrate, sqlfile

_SQL = sqlfile.load(__package__, "indexes")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

EXPECTED: dict[str, tuple[str, ...]] = {
    **{table.name: table.indexes for table in (*tables.PROJECTIONS, *tables.LOG)},
    **tables.OTHER_INDEXES,
}
"""The indexes that users and queries count on, by table."""


class IndexReport(msgspec.Struct, frozen=True):
    """What was found: names as `table.index`, and the statements that put it right."""

    expected: int
    missing: list[str]
    invalid: list[str]
    remedies: list[str]

    @property
    def is_good(self) -> bool:
        """Every expected index is there and valid."""
        return not (self.missing or self.invalid)


async def check(connection: Connection) -> IndexReport:
    """Compare the database's indexes with those expected."""
    found = {
        (row["table_name"], row["index_name"]): row["is_valid"]
        for row in await connection.fetch(_SQL["indexes"])
    }
    wanted = [(table, index) for table, indexes in EXPECTED.items() for index in indexes]
    missing = [one for one in wanted if one not in found]
    invalid = [one for one in wanted if found.get(one) is False]
    made_by = _statements() if missing else {}
    return IndexReport(
        len(wanted),
        [f"{table}.{index}" for table, index in missing],
        [f"{table}.{index}" for table, index in invalid],
        [made_by[index] for _, index in missing]
        + [f"REINDEX INDEX {index};" for _, index in invalid],
    )


def promised() -> set[str]:
    """The names of all indexes that are the indexer's own: those expected, those it makes."""
    return {index for names in EXPECTED.values() for index in names} | set(_statements())


def _statements() -> dict[str, str]:
    """The statement of the migrations that makes each index, on one line."""
    text = "".join(
        path.read_text("utf-8")
        for path in sorted(migrate.folder().glob("*.sql"))
        if not path.stem.endswith(".rollback")
    )
    return {
        found[1]: " ".join(found[0].split())
        for found in re.finditer(r"CREATE INDEX (\w+)[^;]*;", text)
    }
