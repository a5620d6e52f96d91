"""Columns of the tables that commands print: how a cell of a row is written.

Amounts are rounded where a terminal's width is all the room, and exact, without trailing zeros,
elsewhere. USD values, ratios and health factors are rounded (health down, so that a position that
may be liquidated never reads 1). `--json` rounds nothing.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from indexer import values
from indexer.query import point_in_time

Row = Mapping[str, Any]


class Column(msgspec.Struct, frozen=True):
    """A heading, how a row's cell is written, and whether it is a number.

    `write_wide`: how it is written where there is room, if otherwise; `is_wide`: such a place
    alone has the column.
    """

    heading: str
    write: Callable[[Row], str]
    is_number: bool = False
    write_wide: Callable[[Row], str] | None = None
    is_wide: bool = False


def rounded(value: decimal.Decimal | int | None) -> str:
    """An amount for an overview: the larger it is, the fewer decimals."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    size = abs(decimal.Decimal(value))
    if size < decimal.Decimal("0.0001"):
        return "<0.0001"
    decimals = 0 if size >= 100_000 else 2 if size >= 1 else 4
    return f"{value:,.{decimals}f}"


def ratio(value: decimal.Decimal | None) -> str:
    """A ratio in percent."""
    return "-" if value is None else f"{value * 100:.2f} %"


def age(seconds: int | None) -> str:
    """How old something is; "-" where that is not known."""
    return "-" if seconds is None else values.duration(seconds)


def ends(value: str) -> str:
    """An address or hash by its first and last digits."""
    return f"{value[:6]}…{value[-4:]}"


def exact(value: str | decimal.Decimal | None) -> str:
    """An exact decimal without trailing zeros."""
    if value is None:
        return "-"
    if isinstance(value, decimal.Decimal):
        value = format(value, "f")
    return value.rstrip("0").rstrip(".") if "." in value else value


def usd(value: str | None) -> str:
    """USD to the cent."""
    return "-" if value is None else f"{decimal.Decimal(value):,.2f}"


def health(value: str | decimal.Decimal | None) -> str:
    """A health factor, rounded down."""
    if value is None:
        return "-"
    shown = decimal.Decimal(value).quantize(
        decimal.Decimal("0.0001"), decimal.ROUND_DOWN, point_in_time.EXACT
    )
    return format(shown, "f")


def text(heading: str, name: str, *, is_wide: bool = False) -> Column:
    """A column of words."""
    return Column(heading, lambda row: str(row[name] or "-"), is_wide=is_wide)


def yes_no(heading: str, name: str, *, is_wide: bool = False) -> Column:
    """A column of what holds or does not."""
    return Column(heading, lambda row: "yes" if row[name] else "no", is_wide=is_wide)


def address(heading: str, name: str, *, is_wide: bool = False) -> Column:
    """A column of addresses or hashes: their ends, or whole where there is room."""
    return Column(
        heading,
        lambda row: ends(row[name]) if row[name] else "-",
        write_wide=lambda row: row[name] or "-",
        is_wide=is_wide,
    )


def time(heading: str, name: str) -> Column:
    """A column of times, in UTC."""
    return Column(heading, lambda row: "-" if row[name] is None else f"{row[name]:%F %T}")


def block(name: str = "block_number") -> Column:
    """A column of block numbers."""
    return Column("block", lambda row: str(row[name]), is_number=True)


def amount(heading: str, name: str) -> Column:
    """A column of amounts: rounded, or exact where there is room."""

    def write(row: Row) -> str:
        value = row[name]
        return rounded(None if value is None else decimal.Decimal(value))

    return Column(heading, write, is_number=True, write_wide=lambda row: exact(row[name]))


def money(heading: str, name: str) -> Column:
    """A column of USD values."""
    return Column(heading, lambda row: usd(row[name]), is_number=True)


def percent(heading: str, name: str) -> Column:
    """A column of ratios."""

    def write(row: Row) -> str:
        return ratio(None if row[name] is None else decimal.Decimal(row[name]))

    return Column(heading, write, is_number=True)


PRICE = Column(
    "price USD",
    lambda row: rounded(None if row["price_usd"] is None else decimal.Decimal(row["price_usd"])),
    is_number=True,
)
PRICE_AGE = Column(
    "price age",
    lambda row: age(row["price_age_seconds"]),
    is_number=True,
    is_wide=True,
)
HEALTH = Column("health", lambda row: health(row["health_factor"]), is_number=True)
