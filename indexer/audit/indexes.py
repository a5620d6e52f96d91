"""The index check: is every index that users and queries count on there, and valid?"""

from __future__ import annotations

import re

import asyncpg
import msgspec

from indexer.projections import tables
from indexer.store import migrate, sqlfile

_SQL = sqlfile.load(__package__, "indexes")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

OTHER: dict[str, tuple[str, ...]] = {
    "blocks": ("idx_blocks_timestamp", "idx_blocks_hash", "idx_blocks_by_events_alone"),
    "event_log": (
        "idx_events_transaction_hash",
        "idx_events_undecoded",
        "idx_events_layout",
        "idx_events_emitter",
    ),
    "completeness_gaps": ("completeness_gaps_open",),
    "observation_gaps": ("observation_gaps_open",),
    "reconciliation_differences": ("idx_reconciliation_differences_open",),
    "orphaned_events": ("idx_orphaned_events_block_hash",),
    "vesu_sampled_prices": ("idx_vesu_sampled_prices_block", "idx_vesu_sampled_prices_known"),
    "price_samplings": (
        "idx_price_samplings_grid",
        "idx_price_samplings_block",
        "idx_price_samplings_unchecked",
    ),
    "wallets": ("idx_wallets_user_id",),
    "watches": (
        "idx_watches_ask_at",
        "idx_watches_status",
        "idx_watches_guide_status",
        "idx_watches_block",
    ),
}
"""Indexes of tables that are neither projections nor digested."""

EXPECTED: dict[str, tuple[str, ...]] = {
    **{table.stored_name: table.indexes for table in (*tables.PROJECTIONS, *tables.LOG)},
    **OTHER,
}
"""The indexes that users and queries count on, by table."""


class IndexReport(msgspec.Struct, frozen=True):
    """What was found: names as `table.index`, and the statements that put it right.

    `differing`: an index of that name is there, but on other columns, rows or of another method.
    """

    expected: int
    missing: list[str]
    invalid: list[str]
    differing: list[str]
    remedies: list[str]

    @property
    def is_good(self) -> bool:
        """Every expected index is there, valid, and what the migrations made."""
        return not (self.missing or self.invalid or self.differing)


async def check(connection: Connection) -> IndexReport:
    """Compare the database's indexes with those expected: names, validity, definitions."""
    found = {
        (row["table_name"], row["index_name"]): row
        for row in await connection.fetch(_SQL["indexes"])
    }
    expected = [(table, index) for table, indexes in EXPECTED.items() for index in indexes]
    made_by = statements()
    existing = [index for index in expected if index in found]
    missing = [index for index in expected if index not in found]
    differing = [
        index for index in existing if shape(found[index]["definition"]) != shape(made_by[index[1]])
    ]
    invalid = [
        index for index in existing if not found[index]["is_valid"] and index not in differing
    ]
    return IndexReport(
        len(expected),
        _names(missing),
        _names(invalid),
        _names(differing),
        [made_by[index] for _, index in missing]
        + [f"REINDEX INDEX {index};" for _, index in invalid]
        + [f"DROP INDEX {index}; {made_by[index]}" for _, index in differing],
    )


def _names(found: list[tuple[str, str]]) -> list[str]:
    return [f"{table}.{index}" for table, index in found]


def shape(statement: str) -> str:
    """A CREATE INDEX statement without what PostgreSQL adds to it or may leave out.

    Its own form names schema and method, and puts parentheses and casts where none are needed.
    """
    text = " ".join(statement.split()).rstrip(";")
    text = re.sub(r" ON (?:ONLY )?(?:(?:\w+|\"[^\"]+\")\.)?", " ON ", text, count=1)
    text = re.sub(r" USING btree\b", "", text, flags=re.IGNORECASE)
    text = re.sub(r"::(?:\w+(?: varying)?|\"char\")", "", text)
    text = re.sub(r"'(\d+)'", r"\1", text)  # a number too large for an integer is quoted and cast
    return " ".join(re.findall(r"\w+|[^\w\s()\"]", text.lower()))


def promised() -> set[str]:
    """The names of all indexes of the indexer: the expected ones and those it creates."""
    return {index for names in EXPECTED.values() for index in names} | set(statements())


def statements() -> dict[str, str]:
    """The statement of the migrations that makes each index, on one line."""
    return _of_migrations(r"CREATE (?:UNIQUE )?INDEX (\w+)[^;]*;")


def comments() -> dict[str, str]:
    """The statement of the migrations that comments on an index, where there is one."""
    return _of_migrations(r"COMMENT ON INDEX (\w+) IS '(?:[^']|'')*';")


def _of_migrations(pattern: str) -> dict[str, str]:
    """Statements, each on one line, by the name that the pattern's group finds."""
    text = "".join(
        path.read_text("utf-8")
        for path in sorted(migrate.folder().glob("*.sql"))
        if not path.stem.endswith(".rollback")
    )
    return {match[1]: " ".join(match[0].split()) for match in re.finditer(pattern, text)}
