"""The four tables at a glance, for a terminal of 80 columns or more.

Numbers are rounded for the eye; the exact ones are in the tables.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
import rich.box
import rich.console
import rich.table
import rich.text

from indexer.query import tables

Row = Mapping[str, Any]

LINES_AROUND = 4
"""Lines of a table that are not rows: a title, a heading, a rule, and a gap below."""


class Column(msgspec.Struct, frozen=True):
    """A heading, how a row's cell is written, and whether it is a number."""

    heading: str
    write: Callable[[Row], str]
    is_number: bool = False


async def picture(
    connection: asyncpg.Connection, title: str, rows: int
) -> rich.console.RenderableType:
    """The four tables with up to `rows` rows each, under a title."""
    return rich.console.Group(
        rich.text.Text(title, style="bold"),
        "",
        _table("Pools", POOLS, await tables.pools(connection, rows)),
        _table(
            "Positions at risk, the riskiest first", RISK, await tables.at_risk(connection, rows)
        ),
        _table("Last transactions", TRANSACTIONS, await tables.transactions(connection, rows)),
        _table("Liquidations", LIQUIDATIONS, await tables.liquidations(connection, rows)),
    )


def rows_that_fit(lines: int) -> int:
    """How many rows each table may have so that all four fit on a screen."""
    return max((lines - 5) // 4 - LINES_AROUND, 1)


def number(value: decimal.Decimal | int | None) -> str:
    """An amount as a glance takes it: the larger it is, the fewer decimals."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    size = abs(decimal.Decimal(value))
    if size < decimal.Decimal("0.0001"):
        return "<0.0001"
    decimals = 0 if size >= 100_000 else 2 if size >= 1 else 4
    return f"{value:,.{decimals}f}"


def percent(value: decimal.Decimal | None) -> str:
    """A ratio in percent."""
    return "-" if value is None else f"{value * 100:.2f} %"


def short(value: str) -> str:
    """An address or hash by its ends."""
    return f"{value[:6]}…{value[-4:]}"


def _text(name: str) -> Callable[[Row], str]:
    return lambda row: str(row[name] or "-")


def _short(name: str) -> Callable[[Row], str]:
    return lambda row: short(row[name])


def _number(heading: str, name: str) -> Column:
    return Column(heading, lambda row: number(row[name]), is_number=True)


def _percent(heading: str, name: str) -> Column:
    return Column(heading, lambda row: percent(row[name]), is_number=True)


_BLOCK = Column("block", lambda row: f"{row['block_number']:,}", is_number=True)

POOLS = (
    Column("pool", _text("name")),
    Column("collateral", _text("collateral_asset")),
    Column("debt", _text("debt_asset")),
    _percent("max LTV", "max_ltv"),
    _number("supplied", "total_supply"),
    _number("borrowed", "total_borrow"),
    _percent("supply\nAPY", "supply_apy"),
    _percent("borrow\nAPY", "borrow_apy"),
)
RISK = (
    Column("user", _short("user_id")),
    _number("collateral", "collateral_amount"),
    Column("", _text("collateral_asset")),
    _number("debt", "debt_amount"),
    Column("", _text("debt_asset")),
    _percent("LTV", "ltv"),
    Column("health", lambda row: f"{row['health_factor']:.4f}", is_number=True),
)
TRANSACTIONS = (
    _BLOCK,
    Column("type", _text("type")),
    _number("amount", "amount"),
    Column("", _text("asset")),
    Column("user", _short("user_id")),
    Column("transaction", _short("transaction_hash")),
)
LIQUIDATIONS = (
    _BLOCK,
    Column("user", _short("user_id")),
    Column("liquidator", _short("liquidator_address")),
    _number("seized", "collateral_seized"),
    Column("", _text("collateral_asset")),
    _number("repaid", "debt_repaid"),
    Column("", _text("debt_asset")),
    _number("bad debt", "bad_debt"),
)


def _table(title: str, columns: Sequence[Column], found: Sequence[Row]) -> rich.console.Group:
    """On a narrow screen names are wrapped, never numbers."""
    table = rich.table.Table(
        box=rich.box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
    )
    for column in columns:
        table.add_column(
            column.heading,
            justify="right" if column.is_number else "left",
            vertical="bottom",
            no_wrap=column.is_number,
        )
    for row in found:
        table.add_row(*(column.write(row) for column in columns))
    nothing = () if found else ("  none yet",)
    return rich.console.Group(rich.text.Text(title, style="bold cyan"), table, *nothing, "")
