"""`positions`: many positions, exact, at a moment."""

from __future__ import annotations

import decimal
from pathlib import Path

import click

from indexer.commands import common, moments
from indexer.query import point_in_time, positions

STATUSES = ("active", "liquidated", "closed")

HELD = (
    moments.text("collateral asset", "collateral_asset"),
    moments.amount("collateral", "collateral_amount"),
    moments.text("debt asset", "debt_asset"),
    moments.amount("debt", "debt_amount"),
    moments.percent("LTV", "ltv"),
    moments.HEALTH,
)
COLUMNS = (
    moments.text("pool", "pool_name"),
    moments.text("version", "protocol"),
    moments.short("user", "user_id"),
    moments.text("kind", "kind"),
    moments.text("status", "status"),
    *HELD,
)


def _health(text: str) -> decimal.Decimal:
    try:
        value = decimal.Decimal(text)
    except decimal.InvalidOperation:
        value = decimal.Decimal("nan")
    if not value.is_finite():
        raise click.BadParameter(f"{text!r} is not a number such as 1.05")
    return value


@click.command(epilog="Example: vesu-indexer positions --max-health 1.05 --at-block 90")
@common.options
@click.option("--pool", type=common.felt, help="Only this pool's (pool id; V2: its address).")
@click.option("--user", type=common.felt, help="Only this user's.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those with this status then.")
@click.option("--min-health", type=_health, help="Only with a health factor from this on.")
@click.option("--max-health", type=_health, help="Only with a health factor below this.")
@moments.options
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
    found = moments.ask(config_file, lambda connection: positions.find(connection, wanted, at))
    if as_json:
        common.print_json(found)
        return
    moments.show_moment(found)
    moments.show_table(COLUMNS, found.positions)
