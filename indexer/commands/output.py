"""What commands print: JSON documents, tables, and the block that an answer is true for."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec
import rich.console
import rich.table
import rich.text

from indexer import values
from indexer.commands import columns
from indexer.query import point_in_time

WIDEST = 100_000
"""How many columns a line may have where it is not wrapped."""


def print_json(document: Any) -> None:
    """One JSON document on stdout; decimals as plain text, exactly."""
    click.echo(values.json_text(document))


def print_moment(found: point_in_time.Moment) -> None:
    """The block that the answer is true for, and the time that interest is accrued to."""
    words = [f"block {found.block_number}", found.block_hash, f"{found.block_time:%F %T} UTC"]
    if found.valued_at != found.block_time:
        words.append(f"interest to {found.valued_at:%F %T} UTC")
    click.echo(" · ".join(words))


def print_table(
    shown: Sequence[columns.Column],
    rows: Sequence[msgspec.Struct | columns.Row],
    *,
    wide: bool = False,
) -> None:
    """Rows under headings; an exact amount is never cut or wrapped.

    Addresses are whole where `wide` is given or the output is no terminal, else shortened.
    """
    is_wide = wide or not sys.stdout.isatty()
    table = rich.table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    shown = [column for column in shown if is_wide or not column.is_wide]
    for column in shown:
        justify: rich.console.JustifyMethod = "right" if column.is_number else "left"
        table.add_column(column.heading, justify=justify, no_wrap=is_wide or column.is_number)
    for row in rows:
        values_of = msgspec.structs.asdict(row) if isinstance(row, msgspec.Struct) else row
        table.add_row(*(_text(column, values_of, is_wide=is_wide) for column in shown))
    for line in _lines(table, is_wide=is_wide):
        click.echo(line)
    if not rows:
        click.echo("none")


def _text(column: columns.Column, row: columns.Row, *, is_wide: bool) -> rich.text.Text:
    """A cell, without markup and control characters."""
    write = column.write_wide if is_wide and column.write_wide else column.write
    return rich.text.Text(write(row))


def _lines(table: rich.table.Table, *, is_wide: bool) -> Iterator[str]:
    """The table's lines: as wide as it is, or wrapped to the terminal."""
    console = rich.console.Console(
        file=io.StringIO(), width=WIDEST if is_wide else None, color_system=None
    )
    console.print(table, crop=False, overflow="ignore")
    output = console.file
    assert isinstance(output, io.StringIO)  # given above
    yield from (line.rstrip() for line in output.getvalue().splitlines())
