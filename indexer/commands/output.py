"""What commands print: JSON documents, tables, and the block that an answer is true for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from indexer import values
from indexer.commands import columns
from indexer.query import point_in_time


def print_json(document: Any) -> None:
    """One JSON document on stdout; decimals as plain text, exactly."""
    click.echo(values.json_text(document))


def print_moment(found: point_in_time.Moment) -> None:
    """The block that the answer is true for, and the time that interest is accrued to."""
    words = [f"block {found.block_number}", found.block_hash, f"{found.block_time:%F %T} UTC"]
    if found.valued_at != found.block_time:
        words.append(f"interest to {found.valued_at:%F %T} UTC")
    click.echo(" · ".join(words))


def print_table(shown: Sequence[columns.Column], rows: Sequence[msgspec.Struct]) -> None:
    """Rows under headings, as wide as they are: an exact amount is never cut."""
    written = [msgspec.structs.asdict(row) for row in rows]
    cells = [[column.heading, *map(column.write, written)] for column in shown]
    widths = [max(map(len, column)) for column in cells]
    for line in zip(*cells, strict=True):
        padded = (
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(line, widths, shown, strict=True)
        )
        click.echo("  ".join(padded).rstrip())
    if not rows:
        click.echo("none")
