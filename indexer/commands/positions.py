"""`positions`: many positions, exact, at a point in time."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from indexer.commands import arguments, columns, output, reader
from indexer.query import names, point_in_time, positions

STATUSES = ("active", "liquidated", "closed")
KINDS = ("borrow", "earn", "system")

AMOUNTS = (
    columns.text("collateral asset", "collateral_asset"),
    columns.amount("collateral", "collateral_amount"),
    columns.text("debt asset", "debt_asset"),
    columns.amount("debt", "debt_amount"),
    columns.percent("LTV", "ltv"),
    columns.HEALTH,
)
LISTED = columns.yes_no("listed", "is_listed", is_wide=True)
COLUMNS = (
    columns.text("pool", "pool_name"),
    columns.text("version", "protocol", is_wide=True),
    columns.address("user", "user_id"),
    columns.text("kind", "kind"),
    columns.text("status", "status"),
    *AMOUNTS,
    columns.Column(
        "allowed", lambda row: " ".join(row["allowed_actions"]) or "nothing", is_wide=True
    ),
    LISTED,
    columns.PRICE_AGE,
    columns.address("pool id", "pool_id", is_wide=True),
    columns.address("collateral address", "collateral_address", is_wide=True),
    columns.address("debt address", "debt_address", is_wide=True),
)


def _largest(name: str) -> Callable[[positions.Position], Any]:
    def key(position: positions.Position) -> tuple[bool, decimal.Decimal]:
        value = getattr(position, name)
        return value is None, -decimal.Decimal(value or 0)

    return key


SORTS: dict[str, Callable[[positions.Position], Any] | None] = {
    "health": None,  # The query's own order.
    "collateral": _largest("collateral_value_usd"),
    "debt": _largest("debt_value_usd"),
    "ltv": _largest("ltv"),
    "updated": lambda position: -position.last_updated.timestamp(),
}


class _Chosen(msgspec.Struct, frozen=True):
    """What is wanted beyond `positions.PositionFilter`."""

    pool: int | str | None
    collateral: int | str | None
    debt: int | str | None
    kinds: tuple[str, ...]
    sort: str
    limit: int | None
    max_price_age: int | None


@click.command(epilog="Example: vesu-indexer positions --kind borrow --max-health 1.05 --limit 20")
@arguments.options
@click.option("--pool", type=arguments.felt_or_name, help="Only this pool: id, address or name.")
@click.option("--user", type=arguments.felt, help="Only this user's.")
@click.option(
    "--collateral", type=arguments.felt_or_name, help="Only with this asset: address or symbol."
)
@click.option(
    "--debt", type=arguments.felt_or_name, help="Only with this asset: address or symbol."
)
@click.option(
    "--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only this kind; repeatable."
)
@click.option("--status", type=click.Choice(STATUSES), help="Only those with this status then.")
@click.option(
    "--min-health", type=arguments.unsigned, help="Only with a health factor from this on."
)
@click.option("--max-health", type=arguments.unsigned, help="Only with a health factor below this.")
@click.option(
    "--sort",
    type=click.Choice(tuple(SORTS)),
    default="health",
    show_default=True,
    help="Lowest health, largest USD value of collateral or debt, highest LTV, or newest first.",
)
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="At most so many (default: all)."
)
@arguments.listed
@arguments.point_in_time
@arguments.max_price_age
@arguments.wide
def command(
    config_file: Path | None,
    as_json: bool,
    pool: int | str | None,
    user: int | None,
    collateral: int | str | None,
    debt: int | str | None,
    kinds: tuple[str, ...],
    status: str | None,
    min_health: decimal.Decimal | None,
    max_health: decimal.Decimal | None,
    sort: str,
    limit: int | None,
    listed: bool | None,
    wide: bool,
    max_price_age: int | None,
    at: point_in_time.When,
) -> None:
    """Show positions with interest accrued to a block or time, the lowest health first.

    Kinds: borrow (a user's position), earn (a vToken holding), system (the protocol's own).
    """
    if min_health is not None and max_health is not None and max_health <= min_health:
        raise click.UsageError(f"--max-health {max_health} is not above --min-health {min_health}")
    chosen = _Chosen(pool, collateral, debt, kinds, sort, limit, max_price_age)
    position_filter = positions.PositionFilter(None, user, status, min_health, max_health, listed)
    positions_ = reader.ask(
        config_file, lambda connection: _find(connection, chosen, position_filter, at)
    )
    if as_json:
        output.print_json(positions_)
        return
    output.print_moment(positions_, wide=wide)
    output.print_table(COLUMNS, positions_.positions, wide=wide)
    output.print_stale(
        [position.is_price_stale for position in positions_.positions], max_price_age
    )


async def _find(
    connection: asyncpg.Connection,
    chosen: _Chosen,
    position_filter: positions.PositionFilter,
    at: point_in_time.When,
) -> positions.Positions:
    pool = None if chosen.pool is None else await names.pool(connection, chosen.pool)
    sides = [
        None if asset is None else await names.assets(connection, asset, pool)
        for asset in (chosen.collateral, chosen.debt)
    ]
    position_filter = msgspec.structs.replace(position_filter, pool=pool)
    positions_ = await positions.find(connection, position_filter, at, chosen.max_price_age)
    rows = [
        position
        for position in positions_.positions
        if (not chosen.kinds or position.kind in chosen.kinds)
        and _is_in(position.collateral_address, sides[0])
        and _is_in(position.debt_address, sides[1])
    ]
    order = SORTS[chosen.sort]
    rows = rows if order is None else sorted(rows, key=order)
    return msgspec.structs.replace(positions_, positions=rows[: chosen.limit])


def _is_in(address: str | None, addresses: frozenset[int] | None) -> bool:
    return addresses is None or (address is not None and int(address, 16) in addresses)
