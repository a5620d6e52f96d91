"""The shadow's tables: which there are, their keys, and the statements that name them.

The statements in shadow.sql, shadow_parted.sql and shadow_diff.sql are written once for all
tables: `{table}`, `{key}` and their like stand for identifiers, never for values.
"""

from __future__ import annotations

import asyncpg
import msgspec

from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "shadow")

SCHEMA = "vesu_shadow"

PLACE = ("block_number", "transaction_index", "event_index")
"""Where an event stands in the chain."""

VALUATIONS = frozenset(
    (
        "collateral_raw",
        "debt_raw",
        "collateral_amount",
        "debt_amount",
        "collateral_value_usd",
        "debt_value_usd",
        "ltv",
        "health_factor",
        "liquidation_price",
        "valued_at",
        "valued_at_block",
    )
)
"""Columns of vesu_positions that follow from state and time: swapped, but no difference."""


class Table(msgspec.Struct, frozen=True):
    """One table: its primary key, and whether its rows are only ever added, each with a block."""

    name: str
    key: tuple[str, ...]
    is_appended: bool = False

    @property
    def row(self) -> tuple[str, ...]:
        """The key of the row that a history's version is of."""
        return tuple(column for column in self.key if column not in PLACE)


CONTRACTS = Table("contract_history", ("address", "kind", *PLACE), is_appended=True)
POOLS = Table("vesu_pool_history", ("pool_id", "id", *PLACE), is_appended=True)
ASSETS = Table("vesu_asset_history", ("pool_id", "id", *PLACE), is_appended=True)
POSITIONS = Table("vesu_position_history", ("pool_id", "id", *PLACE), is_appended=True)
HISTORIES = (CONTRACTS, POOLS, ASSETS, POSITIONS)

CURRENT = (
    Table("contracts", ("address", "kind")),
    Table("vesu_pools", ("pool_id", "id")),
    Table("vesu_assets", ("pool_id", "id")),
    Table("vesu_positions", ("pool_id", "id")),
)
EFFECTS = (
    Table("vesu_transactions", ("pool_id", "id"), is_appended=True),
    Table("vesu_liquidations", ("pool_id", "id"), is_appended=True),
    Table("accrual_mismatches", ("pool_id", "id"), is_appended=True),
)

TABLES = (*CURRENT, *HISTORIES, *EFFECTS)
"""The projections, parents before children."""

EVENTS = Table("events", PLACE)
"""The log's own table, of which the shadow holds what decoding says differently."""
DERIVED = ("contract", "name", "args")
"""The columns of the log that decoding fills."""


async def columns(connection: asyncpg.Connection, live: str, table: Table) -> list[str]:
    """The columns of a table that are written, in order; of the log the derived ones."""
    if table is EVENTS:
        return [*table.key, *DERIVED]
    found = await connection.fetch(_SQL["columns"], f"{live}.{table.name}")
    return [row["attname"] for row in found]


def compared(table: Table, columns: list[str]) -> list[str]:
    """The columns in which rows may differ: neither the key nor a valuation."""
    skipped = {*table.key, *(VALUATIONS if table.name == "vesu_positions" else ())}
    return [column for column in columns if column not in skipped]


def statement(text: str, live: str, table: Table, columns: list[str] | None = None) -> str:
    """A statement filled in for one table; `live` is the quoted name of the live schema."""
    columns = list(table.key) if columns is None else columns
    values = [column for column in columns if column not in table.key]
    states = [column for column in values if column not in PLACE]
    return text.format(
        live=live,
        table=table.name,
        history=table.name,
        key=_listed(table.key),
        row=_listed(table.row),
        states=_listed([*table.row, *states]),
        columns=_listed(columns),
        l_columns=_listed(values, "l"),
        s_columns=_listed(values, "s"),
        l_state=_listed(compared(table, columns), "l"),
        s_state=_listed(compared(table, columns), "s"),
        values=_listed(values),
        excluded=_listed(values, "excluded"),
        h_row=_listed(table.row, "h"),
        t_row=_listed(table.row, "t"),
        l_key=_listed(table.key, "l"),
        s_key=_listed(table.key, "s"),
        p_key=_listed(table.key, "p"),
        order=_listed(_in_chain_order(table), "p"),
    )


def _in_chain_order(table: Table) -> list[str]:
    """The key, the event's place first where it is part of it."""
    return sorted(table.key, key=lambda column: column not in PLACE)


def _listed(names: list[str] | tuple[str, ...], of: str = "") -> str:
    return ", ".join(f"{of}.{name}" if of else name for name in names)
