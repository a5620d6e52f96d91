"""What the commands about the past share: the options that name a moment, and their answers.

Amounts are written exactly, trailing zeros apart; USD, ratios and health are rounded for the
eye (health down, so that what may be liquidated never reads 1). `--json` rounds nothing.
"""

from __future__ import annotations

import datetime
import decimal
import functools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import click
import msgspec

from indexer import app, config
from indexer.commands import common, glance
from indexer.query import point_in_time

T = TypeVar("T")
Column = glance.Column
Row = glance.Row


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--at-block, --at-time and --now, handed to the command as `at`."""

    @click.option("--at-block", type=click.IntRange(min=0), help="Any committed block.")
    @click.option(
        "--at-time",
        type=time,
        metavar="ISO8601",
        help="State of the last block up to then, interest accrued to then (UTC unless it says).",
    )
    @click.option("--now", "is_now", is_flag=True, help="The same at this very second.")
    @functools.wraps(command)
    def with_moment(
        at_block: int | None, at_time: datetime.datetime | None, is_now: bool, **given: Any
    ) -> Any:
        if (at_block is not None) + (at_time is not None) + is_now > 1:
            raise click.UsageError("--at-block, --at-time and --now exclude each other")
        if is_now:
            at_time = datetime.datetime.now(datetime.UTC)
        return command(at=at_time if at_block is None else at_block, **given)

    return with_moment


def time(text: str) -> datetime.datetime:
    """A time as ISO 8601 writes it, in UTC where it has no zone."""
    try:
        found = datetime.datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is not a time: write it as in 2025-10-02T12:00:00Z"
        ) from error


def ask(config_file: Path | None, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """What the configured database answers."""
    return common.run(_answer(common.settings(config_file), question))


async def _answer(
    settings: config.Settings, question: Callable[[asyncpg.Connection], Awaitable[T]]
) -> T:
    async with app.reader(settings) as connection:
        return await question(connection)


def show_moment(found: point_in_time.Moment) -> None:
    """Which block the answer is true for, and when interest was accrued to."""
    words = [f"block {found.block_number}", found.block_hash, f"{found.block_time:%F %T} UTC"]
    if found.valued_at != found.block_time:
        words.append(f"interest to {found.valued_at:%F %T} UTC")
    click.echo(" · ".join(words))


def show_table(columns: Sequence[Column], rows: Sequence[msgspec.Struct]) -> None:
    """Rows under headings, as wide as they are: an exact amount is never cut."""
    written = [msgspec.structs.asdict(row) for row in rows]
    cells = [[column.heading, *map(column.write, written)] for column in columns]
    widths = [max(map(len, column)) for column in cells]
    for line in zip(*cells, strict=True):
        padded = (
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        )
        click.echo("  ".join(padded).rstrip())
    if not rows:
        click.echo("none")


# --- columns ------------------------------------------------------------------------------


def exact(value: str | None) -> str:
    """An exact decimal without trailing zeros."""
    if value is None:
        return "-"
    return value.rstrip("0").rstrip(".") if "." in value else value


def usd(value: str | None) -> str:
    """USD to the cent."""
    return "-" if value is None else f"{decimal.Decimal(value):,.2f}"


def health(value: str | None) -> str:
    """A health factor, rounded down."""
    if value is None:
        return "-"
    rounded = decimal.Decimal(value).quantize(
        decimal.Decimal("0.0001"), decimal.ROUND_DOWN, point_in_time.EXACT
    )
    return format(rounded, "f")


def text(heading: str, name: str) -> Column:
    """A column of words."""
    return Column(heading, lambda row: str(row[name] or "-"))


def short(heading: str, name: str) -> Column:
    """A column of addresses, by their ends."""
    return Column(heading, lambda row: glance.short(row[name]))


def amount(heading: str, name: str) -> Column:
    """A column of exact amounts."""
    return Column(heading, lambda row: exact(row[name]), is_number=True)


def money(heading: str, name: str) -> Column:
    """A column of USD values."""
    return Column(heading, lambda row: usd(row[name]), is_number=True)


def percent(heading: str, name: str) -> Column:
    """A column of ratios."""

    def write(row: Row) -> str:
        return glance.percent(None if row[name] is None else decimal.Decimal(row[name]))

    return Column(heading, write, is_number=True)


PRICE = Column(
    "price USD",
    lambda row: glance.number(
        None if row["price_usd"] is None else decimal.Decimal(row["price_usd"])
    ),
    is_number=True,
)
HEALTH = Column("health", lambda row: health(row["health_factor"]), is_number=True)
