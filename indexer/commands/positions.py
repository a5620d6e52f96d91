"""`positions`: many positions, exact, at a moment."""

from __future__ import annotations

import decimal
from pathlib import Path

import click

from indexer.commands import arguments, columns, output, reader
from indexer.query import point_in_time, positions

STATUSES = ("active", "liquidated", "closed")

HELD = (
    columns.text("collateral asset", "collateral_asset"),
    columns.amount("collateral", "collateral_amount"),
    columns.text("debt asset", "debt_asset"),
    columns.amount("debt", "debt_amount"),
    columns.percent("LTV", "ltv"),
    columns.HEALTH,
)
COLUMNS = (
    columns.text("pool", "pool_name"),
    columns.text("version", "protocol"),
    columns.short("user", "user_id"),
    columns.text("kind", "kind"),
    columns.text("status", "status"),
    *HELD,
)


@click.command(epilog="Example: vesu-indexer positions --max-health 1.05 --at-block 90")
@arguments.options
@click.option("--pool", type=arguments.felt, help="Only this pool's (pool id; V2: its address).")
@click.option("--user", type=arguments.felt, help="Only this user's.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those with this status then.")
@click.option("--min-health", type=arguments.number, help="Only with a health factor from this on.")
@click.option("--max-health", type=arguments.number, help="Only with a health factor below this.")
@arguments.point_in_time
def command(
    config_file: Path | None,
    as_json: bool,
    pool: int | None,
    user: int | None,
    status: str | None,
    min_health: decimal.Decimal | None,
    max_health: decimal.Decimal | None,
    at: point_in_time.When,
) -> None:
    """Show positions with interest accrued to a block or time, the lowest health first."""
    wanted = positions.Wanted(pool, user, status, min_health, max_health)
    found = reader.ask(config_file, lambda connection: positions.find(connection, wanted, at))
    if as_json:
        output.print_json(found)
        return
    output.print_moment(found)
    output.print_table(COLUMNS, found.positions)
