"""`events`: the raw log, decoded, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from indexer import app, config
from indexer.cairo import felt252
from indexer.commands import arguments, event_loop, output
from indexer.query import tables


@click.command(epilog="Example: vesu-indexer events --name LiquidatePosition --limit 5")
@arguments.options
@click.option("--block", type=arguments.BLOCK, help="Only this block.")
@click.option("--tx", type=arguments.felt, help="Only this transaction hash.")
@click.option("--name", help="Only events of this name.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
def command(
    config_file: Path | None,
    as_json: bool,
    block: int | None,
    tx: int | None,
    name: str | None,
    limit: int,
) -> None:
    """Show the log's events, newest first, decoded where their ABI is known."""
    found = event_loop.run(_read(arguments.settings(config_file), block, tx, name, limit))
    for row in found:
        row["args"] = None if row["args"] is None else msgspec.json.decode(row["args"])
    if as_json:
        output.print_json(found)
        return
    for row in found:
        _print(row)


async def _read(
    settings: config.Settings, block: int | None, tx: int | None, name: str | None, limit: int
) -> list[dict[str, Any]]:
    padded = None if tx is None else felt252.padded(tx)
    async with app.reader(settings) as connection:
        return await tables.events(
            connection, block=block, transaction=padded, name=name, limit=limit
        )


def _print(row: dict[str, Any]) -> None:
    place = f"{row['block_number']}/{row['transaction_index']}/{row['event_index']}"
    click.echo(f"{place}  {row['name'] or 'undecoded'}  {row['contract']} {row['from_address']}")
    if row["args"] is None:
        click.echo(f"    keys {' '.join(row['keys'])}\n    data {' '.join(row['data'])}")
        return
    for key, value in row["args"].items():
        click.echo(f"    {key} = {value}")
