"""`assets`: every asset of every pool, exact, at a moment."""

from __future__ import annotations

import functools
from pathlib import Path

import click

from indexer.commands import arguments, columns, output, reader
from indexer.query import assets, point_in_time

COLUMNS = (
    columns.text("pool", "pool_name"),
    columns.text("version", "protocol", is_wide=True),
    columns.text("asset", "symbol"),
    columns.amount("supplied", "total_supply"),
    columns.amount("borrowed", "total_borrow"),
    columns.percent("utilisation", "utilization"),
    columns.percent("supply APY", "supply_apy"),
    columns.percent("borrow APY", "borrow_apy"),
    columns.PRICE,
    columns.PRICE_AGE,
)


@click.command(epilog="Example: vesu-indexer assets --at-time 2025-10-02T12:00:00Z")
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
    """Show assets with interest accrued to a block or time: totals, rates, newest price.

    `--json` has the whole asset configuration and rate model beside them.
    """
    found = reader.ask_of_pool(
        config_file, pool, functools.partial(assets.find, max_price_age=max_price_age), at
    )
    if as_json:
        output.print_json(found)
        return
    output.print_moment(found, wide=wide)
    output.print_table(COLUMNS, found.assets, wide=wide)
    output.print_stale([asset.is_price_stale for asset in found.assets], max_price_age)
