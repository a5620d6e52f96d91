"""An overview of the four main tables, for a terminal of 80 columns or more.

Amounts are in token units, and the asset that they are in stands right of them.

Numbers are rounded; the tables and `--json` have the exact ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import asyncpg
import rich.box
import rich.console
import rich.table
import rich.text

from indexer.commands import columns
from indexer.query import tables

LINES_AROUND = 4
"""Lines of a table that are not rows: title, heading, rule, and an empty line below."""


async def render(
    connection: asyncpg.Connection, title: str, rows: int
) -> rich.console.RenderableType:
    """The four tables with up to `rows` rows each, under a title."""
    total = await tables.counts(connection)
    return rich.console.Group(
        rich.text.Text(title, style="bold"),
        "",
        _table("Pools", POOLS, await tables.pools(connection, rows), total["pools"]),
        _table(
            "Positions at risk, the lowest health first" + _apart(total["at_risk_unlisted"]),
            RISK,
            await tables.at_risk(connection, rows),
            total["at_risk"],
        ),
        _table(
            "Transactions, newest first",
            TRANSACTIONS,
            await tables.transactions(connection, rows),
            total["transactions"],
        ),
        _table(
            "Liquidations, newest first",
            LIQUIDATIONS,
            await tables.liquidations(connection, rows),
            total["liquidations"],
        ),
    )


def _apart(unlisted: int) -> str:
    return f" ({unlisted:,} more in unlisted pools)" if unlisted else ""


def rows_that_fit(lines: int) -> int:
    """How many rows each table may have so that all four fit on a screen."""
    return max((lines - 5) // 4 - LINES_AROUND, 1)


def _text(name: str) -> Callable[[columns.Row], str]:
    return lambda row: str(row[name] or "-")


def _short(name: str) -> Callable[[columns.Row], str]:
    return lambda row: columns.ends(row[name])


def _number(heading: str, name: str) -> columns.Column:
    return columns.Column(heading, lambda row: columns.rounded(row[name]), is_number=True)


def _percent(heading: str, name: str) -> columns.Column:
    return columns.Column(heading, lambda row: columns.ratio(row[name]), is_number=True)


_BLOCK = columns.Column("block", lambda row: f"{row['block_number']:,}", is_number=True)

POOLS = (
    columns.Column("pool", _text("name")),
    columns.Column("collateral", _text("collateral_asset")),
    _percent("max LTV", "max_ltv"),
    _number("supplied", "total_supply"),
    _number("borrowed", "total_borrow"),
    columns.Column("debt", _text("debt_asset")),
    _percent("supply\nAPY", "supply_apy"),
    _percent("borrow\nAPY", "borrow_apy"),
)
RISK = (
    columns.Column("user", _short("user_id")),
    _number("collateral", "collateral_amount"),
    columns.Column("", _text("collateral_asset")),
    _number("debt", "debt_amount"),
    columns.Column("", _text("debt_asset")),
    _percent("LTV", "ltv"),
    columns.HEALTH,
)
TRANSACTIONS = (
    _BLOCK,
    columns.Column("type", _text("type")),
    _number("amount", "amount"),
    columns.Column("", _text("asset")),
    columns.Column("user", _short("user_id")),
    columns.Column("transaction", _short("transaction_hash")),
)
LIQUIDATIONS = (
    _BLOCK,
    columns.Column("user", _short("user_id")),
    columns.Column("liquidator", _short("liquidator_address")),
    _number("seized", "collateral_seized"),
    columns.Column("", _text("collateral_asset")),
    _number("repaid", "debt_repaid"),
    _number("bad debt", "bad_debt"),
    columns.Column("", _text("debt_asset")),
)


def _table(
    title: str, shown: Sequence[columns.Column], found: Sequence[columns.Row], total: int
) -> rich.console.Group:
    """The first of `total` rows. On a narrow screen names are wrapped, never numbers."""
    if total > len(found):
        title = f"{title}: {len(found):,} of {total:,}"
    table = rich.table.Table(
        box=rich.box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
    )
    for column in shown:
        table.add_column(
            column.heading,
            justify="right" if column.is_number else "left",
            vertical="bottom",
            no_wrap=column.is_number,
        )
    for row in found:
        table.add_row(*(column.write(row) for column in shown))
    nothing = () if found else ("  none yet",)
    return rich.console.Group(rich.text.Text(title, style="bold cyan"), table, *nothing, "")
