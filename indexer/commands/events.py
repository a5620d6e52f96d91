"""`events`: the raw log, decoded, for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from indexer import values
from indexer.cairo import text as texts
from indexer.commands import arguments, output, reader
from indexer.query import names, tables


@click.command(epilog="Example: vesu-indexer events --name LiquidatePosition --limit 5")
@arguments.options
@click.option("--block", type=arguments.BLOCK, help="Only this block.")
@arguments.block_range
@click.option("--tx", type=arguments.felt, help="Only this transaction hash.")
@click.option("--name", help="Only events of this name.")
@click.option(
    "--contract", type=arguments.felt, multiple=True, help="Only of this contract; repeatable."
)
@click.option("--pool", type=arguments.felt_or_name, help="Only of this pool: id, address or name.")
@arguments.limit
def command(
    config_file: Path | None,
    as_json: bool,
    block: int | None,
    from_block: int | None,
    to_block: int | None,
    tx: int | None,
    name: str | None,
    contract: tuple[int, ...],
    pool: int | str | None,
    limit: int,
) -> None:
    """Show the log's events, newest first, decoded where their ABI is known.

    Each with block/transaction/event, time (UTC), name, kind and address of the contract, and
    transaction hash.
    """
    if block is not None and (from_block is not None or to_block is not None):
        raise click.UsageError("--block excludes --from-block and --to-block")
    first, last = (from_block, to_block) if block is None else (block, block)

    async def question(connection: asyncpg.Connection) -> list[dict[str, Any]]:
        row_filter = tables.Filter(
            pool=None if pool is None else await names.pool(connection, pool),
            transaction=tx,
            name=None if name is None else await names.event(connection, name),
            contracts=await names.contracts(connection, contract) if contract else None,
            from_block=first,
            to_block=last,
        )
        return await tables.events(connection, limit, row_filter)

    found = reader.ask(config_file, question)
    for row in found:
        row["args"] = None if row["args"] is None else msgspec.json.decode(row["args"])
    if as_json:
        output.print_json(found)
        return
    for row in found:
        _print(row)
    if not found:
        click.echo("none")


def _print(row: dict[str, Any]) -> None:
    event_key = f"{row['block_number']}/{row['transaction_index']}/{row['event_index']}"
    time = "" if row["timestamp"] is None else f"  {row['timestamp']:%F %T}"
    click.echo(
        f"{event_key}{time}  {row['name'] or 'undecoded'}  {row['contract']} {row['from_address']}"
    )
    click.echo(f"    transaction {row['transaction_hash']}")
    if row["args"] is None:
        click.echo(f"    keys {' '.join(row['keys'])}\n    data {' '.join(row['data'])}")
        return
    for key, value in _flat(row["args"]):
        click.echo(f"    {key} = {texts.printable(str(value))}")


def _flat(args: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of an event, those of structs with a dot, words as people write them."""
    for key, value in args.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        elif isinstance(value, bool):
            yield f"{before}{key}", "yes" if value else "no"
        elif value is None:
            yield f"{before}{key}", "-"
        elif isinstance(value, list):
            yield f"{before}{key}", values.json_bytes(value).decode()
        else:
            yield f"{before}{key}", value
