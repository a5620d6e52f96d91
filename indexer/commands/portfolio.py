"""`portfolio`: all that a user holds and owes at a moment."""

from __future__ import annotations

from pathlib import Path

import click

from indexer.commands import arguments, columns, output, positions, reader
from indexer.query import point_in_time, portfolio

COLUMNS = (
    columns.text("pool", "pool_name"),
    columns.text("version", "protocol"),
    columns.text("kind", "kind"),
    *positions.AMOUNTS,
    columns.money("collateral USD", "collateral_value_usd"),
    columns.money("debt USD", "debt_value_usd"),
    positions.LISTED,
    columns.PRICE_AGE,
)


@click.command(epilog="Example: vesu-indexer portfolio 0x01aa… --at-time 2025-10-02T12:00:00Z")
@arguments.options
@click.argument("user", type=arguments.felt)
@arguments.point_in_time
@arguments.max_price_age
@arguments.wide
def command(
    config_file: Path | None,
    as_json: bool,
    user: int,
    wide: bool,
    max_price_age: int | None,
    at: point_in_time.When,
) -> None:
    """Show a user's active positions and vToken holdings over all pools, and their sums."""
    found = reader.ask(
        config_file, lambda connection: portfolio.of(connection, user, at, max_price_age)
    )
    if as_json:
        output.print_json(found)
        return
    output.print_moment(found, wide=wide)
    output.print_table(COLUMNS, found.positions, wide=wide)
    for name, value in (
        ("collateral", columns.usd(found.collateral_usd)),
        ("vTokens", columns.usd(found.earn_usd)),
        ("debt", columns.usd(found.debt_usd)),
        ("net", columns.usd(found.net_usd)),
        ("lowest health", columns.health(found.lowest_health)),
    ):
        unit = "" if name == "lowest health" else " USD"
        click.echo(f"{name:<14} {value:>18}{unit}")
    if any(not position.is_listed for position in found.positions):
        click.echo(
            f"in unlisted pools, in no sum above: net {columns.usd(found.unlisted.net_usd)} USD "
            "at prices that their curators choose"
        )
    if found.unpriced:
        click.echo(f"positions without a known price, in no sum: {found.unpriced}")
    output.print_stale([position.is_price_stale for position in found.positions], max_price_age)
