"""`digest`: a hash to quote."""

from __future__ import annotations

from pathlib import Path

import click

from indexer import app, config
from indexer.audit import digest
from indexer.commands import common


@click.command(epilog="Example: vesu-indexer digest --at-block 3000000 --json")
@common.options
@click.option("--at-block", type=click.IntRange(min=0), help="Any committed block.")
def command(config_file: Path | None, as_json: bool, at_block: int | None) -> None:
    """One hash per table and one over all, of the state at a block.

    Equal on every machine, PostgreSQL version and replay that holds the same. Valuations are
    not part of it: they follow from the state, the prices and the time that is asked for.
    """
    found = common.run(_digest(common.settings(config_file), at_block))
    if as_json:
        common.print_json(found)
        return
    for table, one in found.tables.items():
        click.echo(f"{one.hash}  {table} ({one.rows:,} rows)")
    click.echo(f"{found.all}  all tables at block {found.block_number:,}")


async def _digest(settings: config.Settings, at_block: int | None) -> digest.Digest:
    async with app.reader(settings) as connection:
        return await digest.at_block(connection, at_block)
