"""`pools`: the pairs of every pool, exact, at a moment."""

from __future__ import annotations

import functools
from pathlib import Path

import click

from indexer.commands import arguments, columns, output, reader
from indexer.query import point_in_time, pools

COLUMNS = (
    columns.text("pool", "name"),
    columns.text("version", "protocol", is_wide=True),
    columns.text("collateral asset", "collateral_asset"),
    columns.amount("collateral", "pair_collateral"),
    columns.text("debt asset", "debt_asset"),
    columns.amount("debt", "pair_debt"),
    columns.percent("max LTV", "max_ltv"),
    columns.percent("utilisation", "utilization"),
    columns.percent("supply APY", "supply_apy"),
    columns.percent("borrow APY", "borrow_apy"),
    columns.text("shutdown", "shutdown_mode"),
    columns.yes_no("listed", "is_listed", is_wide=True),
    columns.yes_no("active", "is_active"),
)


@click.command(epilog="Example: vesu-indexer pools --pool 0x0451… --at-block 90")
@arguments.options
@click.option("--pool", type=arguments.felt_or_name, help="Only this one: id, address or name.")
@arguments.listed
@arguments.point_in_time
@arguments.wide
def command(
    config_file: Path | None,
    as_json: bool,
    pool: int | str | None,
    wide: bool,
    listed: bool | None,
    at: point_in_time.When,
) -> None:
    """Show pairs with interest accrued to a block or time: limits, totals, rates.

    Utilisation and APYs are those of the debt asset's market.
    """
    found = reader.ask_of_pool(config_file, pool, functools.partial(pools.find, listed=listed), at)
    if as_json:
        output.print_json(found)
        return
    output.print_moment(found, wide=wide)
    output.print_table(COLUMNS, found.pools, wide=wide)
