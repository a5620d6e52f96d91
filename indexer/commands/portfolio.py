"""`portfolio`: all that a user holds and owes at a moment."""

from __future__ import annotations

from pathlib import Path

import click

from indexer.commands import common, moments, positions
from indexer.query import point_in_time, portfolio

COLUMNS = (
    moments.text("pool", "pool_name"),
    moments.text("version", "protocol"),
    moments.text("kind", "kind"),
    *positions.HELD,
    moments.money("collateral USD", "collateral_value_usd"),
    moments.money("debt USD", "debt_value_usd"),
)


@click.command(epilog="Example: vesu-indexer portfolio 0x01aa… --at-time 2025-10-02T12:00:00Z")
@common.options
@click.argument("user", type=common.felt)
@moments.options
def command(config_file: Path | None, as_json: bool, user: int, at: point_in_time.When) -> None:
    """Show a user's active positions and vToken holdings over all pools, and their sums."""
    found = moments.ask(config_file, lambda connection: portfolio.of(connection, user, at))
    if as_json:
        common.print_json(found)
        return
    moments.show_moment(found)
    moments.show_table(COLUMNS, found.positions)
    for name, value in (
        ("collateral", moments.usd(found.collateral_usd)),
        ("vTokens", moments.usd(found.earn_usd)),
        ("debt", moments.usd(found.debt_usd)),
        ("net", moments.usd(found.net_usd)),
        ("lowest health", moments.health(found.lowest_health)),
    ):
        unit = "" if name == "lowest health" else " USD"
        click.echo(f"{name:<14} {value:>18}{unit}")
    if found.unpriced:
        click.echo(f"{found.unpriced} positions without a known price are in no sum")
