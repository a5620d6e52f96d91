"""`liquidations`: what was seized and repaid."""

from __future__ import annotations

from pathlib import Path

import click

from indexer.commands import arguments, columns, event_rows
from indexer.query import tables

COLUMNS = (
    columns.block(),
    columns.time("time (UTC)", "timestamp"),
    columns.amount("seized", "collateral_seized"),
    columns.text("collateral", "collateral_asset"),
    columns.amount("repaid", "debt_repaid"),
    columns.amount("bad debt", "bad_debt"),
    columns.text("debt", "debt_asset"),
    columns.text("pool", "pool_name"),
    columns.address("user", "user_id"),
    columns.address("liquidator", "liquidator_address"),
    columns.address("transaction", "transaction_hash"),
    columns.address("pool id", "pool_id", is_wide=True),
)


@click.command(epilog="Example: vesu-indexer liquidations --user 0x01aa… --limit 20")
@arguments.options
@click.option("--pool", type=arguments.felt_or_name, help="Only this pool: id, address or name.")
@click.option("--user", type=arguments.felt, help="Only this user's positions.")
@click.option("--liquidator", type=arguments.felt, help="Only those of this liquidator.")
@click.option("--tx", type=arguments.felt, help="Only this transaction hash.")
@arguments.block_range
@arguments.limit
@arguments.wide
def command(
    config_file: Path | None,
    as_json: bool,
    pool: int | str | None,
    user: int | None,
    liquidator: int | None,
    tx: int | None,
    from_block: int | None,
    to_block: int | None,
    limit: int,
    wide: bool,
) -> None:
    """Show liquidations, newest first.

    Amounts are in token units; `repaid` is what the liquidator paid, without bad debt, which the
    suppliers of the pool bear.
    """
    event_rows.show(
        event_rows.Listing(config_file, tables.liquidations, COLUMNS, limit, as_json, wide),
        pool,
        user=user,
        liquidator=liquidator,
        transaction=tx,
        from_block=from_block,
        to_block=to_block,
    )
