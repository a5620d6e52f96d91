"""`pools`: the pairs of every pool, exact, at a moment."""

from __future__ import annotations

from pathlib import Path

import click

from indexer.commands import common, moments
from indexer.query import point_in_time, pools

COLUMNS = (
    moments.text("pool", "name"),
    moments.text("version", "protocol"),
    moments.text("collateral asset", "collateral_asset"),
    moments.amount("collateral", "pair_collateral"),
    moments.text("debt asset", "debt_asset"),
    moments.amount("debt", "pair_debt"),
    moments.percent("max LTV", "max_ltv"),
    moments.percent("utilisation", "utilization"),
    moments.percent("supply APY", "supply_apy"),
    moments.percent("borrow APY", "borrow_apy"),
    moments.Column("active", lambda row: "yes" if row["is_active"] else "no"),
)


@click.command(epilog="Example: vesu-indexer pools --pool 0x0451… --at-block 90")
@common.options
@click.option("--pool", type=common.felt, help="Only this one (pool id; V2: its address).")
@moments.options
def command(
    config_file: Path | None, as_json: bool, pool: int | None, at: point_in_time.When
) -> None:
    """Show pairs with interest accrued to a block or time: limits, totals, rates.

    Utilisation and APYs are those of the debt asset's market.
    """
    found = moments.ask(config_file, lambda connection: pools.find(connection, pool, at))
    if as_json:
        common.print_json(found)
        return
    moments.show_moment(found)
    moments.show_table(COLUMNS, found.pools)
