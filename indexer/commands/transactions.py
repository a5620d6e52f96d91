"""`transactions`: what users did to their positions."""

from __future__ import annotations

from pathlib import Path

import click

from indexer.commands import arguments, columns, event_rows
from indexer.query import tables

TYPES = ("supply", "borrow", "repay", "withdraw", "liquidation", "transfer")

COLUMNS = (
    columns.block(),
    columns.time("time (UTC)", "timestamp"),
    columns.text("type", "type"),
    columns.amount("amount", "amount"),
    columns.text("asset", "asset"),
    columns.text("pool", "pool_name"),
    columns.address("user", "user_id"),
    columns.address("transaction", "transaction_hash"),
    columns.address("pool id", "pool_id", is_wide=True),
)


@click.command(epilog="Example: vesu-indexer transactions --asset USDC --type borrow --limit 20")
@arguments.options
@click.option("--pool", type=arguments.felt_or_name, help="Only this pool: id, address or name.")
@click.option("--user", type=arguments.felt, help="Only this user's.")
@click.option("--asset", type=arguments.felt_or_name, help="Only this asset: address or symbol.")
@click.option(
    "--type", "types", type=click.Choice(TYPES), multiple=True, help="Only this type; repeatable."
)
@click.option("--tx", type=arguments.felt, help="Only this transaction hash.")
@arguments.block_range
@arguments.limit
@arguments.wide
def command(
    config_file: Path | None,
    as_json: bool,
    pool: int | str | None,
    user: int | None,
    asset: int | str | None,
    types: tuple[str, ...],
    tx: int | None,
    from_block: int | None,
    to_block: int | None,
    limit: int,
    wide: bool,
) -> None:
    """Show effects on positions, newest first: supplied, borrowed, repaid, withdrawn …

    A transaction may have several rows, and so may an event: one that supplies and borrows has
    two. Amounts are in token units.
    """
    event_rows.show(
        event_rows.Listing(config_file, tables.transactions, COLUMNS, limit, as_json, wide),
        pool,
        asset,
        user=user,
        types=types or None,
        transaction=tx,
        from_block=from_block,
        to_block=to_block,
    )
