"""`totals`: what pools hold and have lent at a moment."""

from __future__ import annotations

from pathlib import Path

import click

from indexer.commands import common, moments
from indexer.query import point_in_time, totals

ASSETS = (
    moments.text("pool", "pool_name"),
    moments.text("version", "protocol"),
    moments.text("asset", "symbol"),
    moments.amount("supplied", "total_supply"),
    moments.amount("borrowed", "total_borrow"),
    moments.money("supplied USD", "total_supply_usd"),
    moments.money("borrowed USD", "total_borrow_usd"),
)
POOLS = (
    moments.text("pool", "name"),
    moments.text("version", "protocol"),
    moments.money("supplied USD", "supply_usd"),
    moments.money("borrowed USD", "borrow_usd"),
)


@click.command(epilog="Example: vesu-indexer totals --at-block 90")
@common.options
@click.option("--pool", type=common.felt, help="Only this pool's (pool id; V2: its address).")
@moments.options
def command(
    config_file: Path | None, as_json: bool, pool: int | None, at: point_in_time.When
) -> None:
    """Show what was supplied and borrowed by asset and pool, and in all, in units and USD."""
    found = moments.ask(config_file, lambda connection: totals.find(connection, pool, at))
    if as_json:
        common.print_json(found)
        return
    moments.show_moment(found)
    moments.show_table(ASSETS, [asset for one in found.pools for asset in one.assets])
    click.echo()
    moments.show_table(POOLS, found.pools)
    click.echo(
        f"in all: supplied {moments.usd(found.supply_usd)} USD, "
        f"borrowed {moments.usd(found.borrow_usd)} USD"
    )
    if found.unpriced:
        click.echo(f"without a known price, in no sum: {', '.join(found.unpriced)}")
