"""`digest`: a hash to quote, and where two databases part."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from indexer import config, values
from indexer.app import databases
from indexer.audit import digest, first_difference
from indexer.commands import arguments, event_loop, output
from indexer.config import values as config_values
from indexer.store import database, migrate


def _database_url(text: str) -> str:
    try:
        return config_values.database_url(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(epilog="Example: vesu-indexer digest --at-block 3000000 --json")
@arguments.options
@click.option("--at-block", type=arguments.BLOCK, help="Any committed block (default: the last).")
@click.option("--valuations", is_flag=True, help="What positions are worth, as stored.")
@click.option("--samples", is_flag=True, help="What was sampled of prices.")
@click.option(
    "--compare",
    "other",
    metavar="URL",
    type=_database_url,
    help="Find the first block at which another database differs.",
)
def command(
    config_file: Path | None,
    as_json: bool,
    at_block: int | None,
    valuations: bool,
    samples: bool,
    other: str,
) -> None:
    """One hash per table and one over all, of the state at a block.

    Equal on every machine, PostgreSQL version and replay that holds the same. Valuations are
    not part of it: they follow from the state, the prices and the time that is asked for.

    With --valuations it is the hash of what positions are worth as their rows stand, each at the
    block that the row names; two databases that committed the same blocks in the same batches
    have the same.

    With --samples it is the hash of the prices that were sampled up to the block. They lie beside
    the log: two databases have the same where both sampled the same points of the grid.

    With --compare the two databases are asked at O(log n) blocks for the first one at which
    they part, and its tables are named. Prices that were sampled, and what positions are worth,
    may differ and are not compared. Exit code 1: they differ.
    """
    settings = arguments.settings(config_file)
    if other and at_block is not None:
        raise click.UsageError("--compare excludes --at-block: it finds the block")
    if valuations and (other or samples or at_block is not None):
        raise click.UsageError("--valuations stands alone: valuations are kept for no past block")
    if samples and other:
        raise click.UsageError("--samples excludes --compare: samples may differ")
    if samples:
        _print_samples(event_loop.run(_samples(settings, at_block)), as_json)
        return
    if valuations:
        _print_valuations(event_loop.run(_valuations(settings)), as_json)
        return
    if other:
        found = event_loop.run(_compare(settings, other))
        _print_first_difference(found, as_json)
        sys.exit(0 if found.is_equal else 1)
    _print(event_loop.run(_digest(settings, at_block)), as_json)


async def _digest(settings: config.Settings, at_block: int | None) -> digest.Digest:
    async with databases.reader(settings) as connection:
        return await digest.at_block(connection, at_block)


async def _valuations(settings: config.Settings) -> digest.Valuations:
    async with databases.reader(settings) as connection:
        return await digest.of_valuations(connection)


async def _samples(settings: config.Settings, at_block: int | None) -> digest.Samples:
    async with databases.reader(settings) as connection:
        return await digest.of_samples(connection, at_block)


async def _compare(settings: config.Settings, other: str) -> first_difference.FirstDifference:
    with databases.database_url(settings) as url:
        for each in (url, other):
            migrate.require_same(each)
        async with (
            database.session(url) as connection,
            database.session(other) as other_connection,
        ):
            return await first_difference.find(connection, other_connection)


def _print(found: digest.Digest, as_json: bool) -> None:
    if as_json:
        output.print_json(found)
        return
    for table, table_digest in found.tables.items():
        click.echo(f"{table_digest.hash}  {table} ({values.counted(table_digest.rows, 'row')})")
    click.echo(f"{found.all}  all tables at block {found.block_number:,}")


def _print_valuations(found: digest.Valuations, as_json: bool) -> None:
    if as_json:
        output.print_json(found)
        return
    hashed = found.vesu_positions
    click.echo(
        f"{hashed.hash}  valuations of vesu_positions ({values.counted(hashed.rows, 'row')})"
    )


def _print_samples(found: digest.Samples, as_json: bool) -> None:
    if as_json:
        output.print_json(found)
        return
    hashed = found.vesu_sampled_prices
    click.echo(
        f"{hashed.hash}  samples of prices ({values.counted(hashed.rows, 'row')}) "
        f"up to block {found.block_number:,}"
    )


def _print_first_difference(found: first_difference.FirstDifference, as_json: bool) -> None:
    if as_json:
        output.print_json(found)
        return
    if found.first_block is None:
        click.echo(f"Both hold the same up to block {found.compared_to:,}.")
    else:
        click.echo(f"They part at block {found.first_block:,}: {', '.join(found.tables)}")
    if found.current:
        click.echo(f"Current rows differ in: {', '.join(found.current)}")
    if not found.is_equal:
        click.echo("None of these may differ: one of the two databases is wrong.")
    parts = [
        f"{len(columns)} columns of {table}" if columns else table
        for table, columns in found.not_compared.items()
    ]
    click.echo(
        f"Not compared: {', '.join(parts)}; they may differ by when each machine sampled prices."
    )
