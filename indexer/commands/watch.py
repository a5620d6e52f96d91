"""`watch`: follow a transaction by its hash, from before it is on chain."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import click
import msgspec

from indexer.commands import arguments, output, reader
from indexer.query import watches


@click.command(epilog="Example: vesu-indexer watch 0x07a3… --json")
@arguments.options
@click.argument("hash", type=arguments.felt)
@click.option("--no-start", is_flag=True, help="Only show what is known; begin no watch.")
def command(config_file: Path | None, as_json: bool, hash: int, no_start: bool) -> None:  # noqa: A002
    """Watch the transaction HASH, and show what is known of it.

    The running daemon asks the node about watched transactions: pending, until a block that the
    tables hold has it; then confirmed, or failed with the reason of the revert; dropped once no
    node has known it for watch.drop_after_seconds, and back if it appears after all.
    """

    async def ask(connection: asyncpg.Connection) -> watches.Sighting:
        if not no_start:
            await watches.start(connection, hash)
        return await watches.read(connection, hash)

    sighting = reader.ask(config_file, ask)
    if as_json:
        output.print_json(sighting)
        return
    output.print_fields(
        msgspec.structs.asdict(sighting) | {"seen": sighting.seen.replace("_", " ")}
    )
