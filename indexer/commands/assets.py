"""`assets`: every asset of every pool, exact, at a moment."""

from __future__ import annotations

from pathlib import Path

import click

from indexer.commands import common, moments
from indexer.query import assets, point_in_time

COLUMNS = (
    moments.text("pool", "pool_name"),
    moments.text("version", "protocol"),
    moments.text("asset", "symbol"),
    moments.amount("supplied", "total_supply"),
    moments.amount("borrowed", "total_borrow"),
    moments.percent("utilisation", "utilization"),
    moments.percent("supply APY", "supply_apy"),
    moments.percent("borrow APY", "borrow_apy"),
    moments.PRICE,
)


@click.command(epilog="Example: vesu-indexer assets --at-time 2025-10-02T12:00:00Z")
@common.options
@click.option("--pool", type=common.felt, help="Only this pool's (pool id; V2: its address).")
@moments.options
def command(
    config_file: Path | None, as_json: bool, pool: int | None, at: point_in_time.When
) -> None:
    """Show assets with interest accrued to a block or time: totals, rates, last told price.

    `--json` has the whole asset configuration and rate model beside them.
    """
    found = moments.ask(config_file, lambda connection: assets.find(connection, pool, at))
    if as_json:
        common.print_json(found)
        return
    moments.show_moment(found)
    moments.show_table(COLUMNS, found.assets)
