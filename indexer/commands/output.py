"""What commands print: JSON documents, tables, and the block that an answer is true for."""

from __future__ import annotations

import datetime
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import msgspec
import rich.cells
import rich.console
import rich.table
import rich.text

from indexer import values
from indexer.cairo import text as texts
from indexer.commands import columns
from indexer.query import markets, point_in_time

WIDEST = 100_000
"""How many columns a line may have where it is not wrapped."""

GAP = 2
"""Spaces between two columns."""


def print_json(document: Any) -> None:
    """One JSON document on stdout; decimals as plain text, exactly."""
    click.echo(values.json_text(document))


def print_moment(moment: point_in_time.Moment, *, wide: bool = False) -> None:
    """The block that the answer is true for, and the time that interest is accrued to.

    In a terminal the hash is shortened, unless with `wide`.
    """
    is_whole = wide or not sys.stdout.isatty()
    block_hash = moment.block_hash if is_whole else columns.ends(moment.block_hash)
    words = [f"block {moment.block_number}", block_hash, f"{moment.block_time:%F %T} UTC"]
    if moment.valued_at != moment.block_time:
        words.append(f"interest to {moment.valued_at:%F %T} UTC")
    click.echo(" · ".join(words))


def print_table(
    shown: Sequence[columns.Column],
    rows: Sequence[msgspec.Struct | columns.Row],
    *,
    wide: bool = False,
) -> None:
    """Rows under headings. No number is cut or wrapped, and no word is cut.

    With `wide`, or where the output is no terminal, addresses are whole and amounts exact; in a
    terminal both are shortened. A terminal that is too narrow even so wraps the lines itself.
    """
    is_wide = wide or not sys.stdout.isatty()
    shown = [column for column in shown if is_wide or not column.is_wide]
    cells = [[_text(column, _values(row), is_wide=is_wide) for column in shown] for row in rows]
    table = rich.table.Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False)
    for number, column in enumerate(shown):
        below = [row[number] for row in cells]
        is_whole = is_wide or column.is_number
        table.add_column(
            column.heading if is_wide else column.heading.replace(" ", "\n"),
            justify="right" if column.is_number else "left",
            vertical="bottom",
            no_wrap=is_whole,
            min_width=_narrowest(column, below, is_whole=is_whole),
        )
    for row in cells:
        table.add_row(*row)
    for line in _lines(table, is_wide=is_wide):
        click.echo(line)
    if not rows:
        click.echo("none")


def _values(row: msgspec.Struct | columns.Row) -> columns.Row:
    return msgspec.structs.asdict(row) if isinstance(row, msgspec.Struct) else row


def _narrowest(column: columns.Column, cells: Sequence[rich.text.Text], *, is_whole: bool) -> int:
    """The fewest characters that a column can have: its longest word, or its longest cell."""
    heading = [rich.cells.cell_len(word) for word in column.heading.split()]
    if is_whole:
        return max([*heading, *(cell.cell_len for cell in cells)])
    words = (word for cell in cells for word in cell.plain.split())
    return max([*heading, *(rich.cells.cell_len(word) for word in words)])


def print_stale(flags: Sequence[bool | None], max_price_age: int | None) -> None:
    """How many rows rest on prices that are older than the question allowed, one flag a row."""
    stale = sum(map(bool, flags))
    if max_price_age is not None and stale:
        rest = "rests" if stale == 1 else "rest"
        click.echo(
            f"{stale} of {len(flags)} {rest} on prices older than {values.duration(max_price_age)}"
        )


def print_prices(prices: Sequence[markets.Price], max_price_age: int | None) -> None:
    """The prices that an answer rests on, their ages, and which are older than allowed."""
    for price in prices:
        name = price.asset or columns.ends(price.asset_address)
        if price.told is None:
            click.echo(f"price of {name}: not known")
            continue
        words = [f"price of {name}: {columns.exact(price.told)} USD"]
        if price.age_seconds is not None:
            words.append(f"{values.duration(price.age_seconds)} old (block {price.block_number})")
        if price.used != price.told:
            words.append(f"reckoned with {columns.exact(price.used)} USD")
        if price.is_valid is False:
            words.append("called invalid by its oracle")
        if price.is_stale and max_price_age is not None:
            words.append(f"older than {values.duration(max_price_age)}")
        click.echo(", ".join(words))


def print_fields(fields: Mapping[str, Any]) -> None:
    """Names and values, one a line."""
    for name, value in fields.items():
        if name.endswith("_seconds"):
            name, value = name.removesuffix("_seconds"), columns.age(value)
        click.echo(f"{name:<22} {_shown(value)}")


def _shown(value: Any) -> str:
    """A value as people write it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime.datetime():
            return f"{value.astimezone(datetime.UTC):%F %T} UTC"
        case list() | tuple():
            return ", ".join(map(_shown, value)) or "none"
        case _:
            return texts.printable(str(value))


def _text(column: columns.Column, row: columns.Row, *, is_wide: bool) -> rich.text.Text:
    """A cell, without markup and control characters."""
    write = column.write_wide if is_wide and column.write_wide else column.write
    return rich.text.Text(write(row))


def _lines(table: rich.table.Table, *, is_wide: bool) -> Iterator[str]:
    """The table's lines: as wide as it is, or as the terminal, but no narrower than it can be."""
    width = WIDEST
    if not is_wide:
        narrowest = sum((column.min_width or 0) + GAP for column in table.columns)
        width = max(rich.console.Console(file=io.StringIO()).width, narrowest)
    console = rich.console.Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table, crop=False, overflow="ignore")
    output = console.file
    assert isinstance(output, io.StringIO)  # given above
    yield from (line.rstrip() for line in output.getvalue().splitlines())
