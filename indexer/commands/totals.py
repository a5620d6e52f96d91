"""`totals`: what pools hold and have lent at a moment."""

from __future__ import annotations

import functools
from pathlib import Path

import click

from indexer.commands import arguments, columns, output, reader
from indexer.query import point_in_time, totals

ASSETS = (
    columns.text("pool", "pool_name"),
    columns.text("version", "protocol", is_wide=True),
    columns.text("asset", "symbol"),
    columns.amount("supplied", "total_supply"),
    columns.amount("borrowed", "total_borrow"),
    columns.money("supplied USD", "total_supply_usd"),
    columns.money("borrowed USD", "total_borrow_usd"),
    columns.PRICE_AGE,
)
POOLS = (
    columns.text("pool", "name"),
    columns.text("version", "protocol", is_wide=True),
    columns.money("supplied USD", "supply_usd"),
    columns.money("borrowed USD", "borrow_usd"),
    columns.yes_no("listed", "is_listed", is_wide=True),
)


@click.command(epilog="Example: vesu-indexer totals --at-block 90")
@arguments.options
@click.option("--pool", type=arguments.felt_or_name, help="Only this pool: id, address or name.")
@arguments.point_in_time
@arguments.max_price_age
@arguments.wide
def command(
    config_file: Path | None,
    as_json: bool,
    pool: int | str | None,
    wide: bool,
    max_price_age: int | None,
    at: point_in_time.When,
) -> None:
    """Show what was supplied and borrowed by asset and pool, and in all, in units and USD."""
    find = functools.partial(totals.find, max_price_age=max_price_age)
    found = reader.ask_of_pool(config_file, pool, find, at)
    if as_json:
        output.print_json(found)
        return
    members = [asset for pool_totals in found.pools for asset in pool_totals.assets]
    output.print_moment(found, wide=wide)
    output.print_table(ASSETS, members, wide=wide)
    click.echo()
    output.print_table(POOLS, found.pools, wide=wide)
    click.echo(
        f"in all: supplied {columns.usd(found.supply_usd)} USD, "
        f"borrowed {columns.usd(found.borrow_usd)} USD"
    )
    if any(not pool_totals.is_listed for pool_totals in found.pools):
        click.echo(
            f"in unlisted pools, in no sum above: supplied "
            f"{columns.usd(found.unlisted.supply_usd)} USD, borrowed "
            f"{columns.usd(found.unlisted.borrow_usd)} USD"
        )
    if found.unpriced:
        click.echo(f"without a known price, in no sum: {', '.join(found.unpriced)}")
    output.print_stale([asset.is_price_stale for asset in members], max_price_age)
