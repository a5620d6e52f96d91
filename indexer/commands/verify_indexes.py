"""`verify-indexes`: is every index there?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from indexer import config
from indexer.app import databases
from indexer.audit import indexes
from indexer.commands import arguments, event_loop, output


@click.command(epilog="Example: vesu-indexer verify-indexes")
@arguments.options
def command(config_file: Path | None, as_json: bool) -> None:
    """Check that every expected index is there and valid. Exit code 1: one is not."""
    report = event_loop.run(_check(arguments.settings(config_file)))
    if as_json:
        output.print_json(report)
    elif report.is_good:
        click.echo("All expected indexes are present!")
    else:
        for name in report.missing:
            click.echo(f"missing  {name}")
        for name in report.invalid:
            click.echo(f"invalid  {name}")
        for name in report.differing:
            click.echo(f"differs  {name}: it is not what the migrations make")
        click.echo("These statements put it right:")
        for statement in report.remedies:
            click.echo(f"  {statement}")
    sys.exit(0 if report.is_good else 1)


async def _check(settings: config.Settings) -> indexes.IndexReport:
    async with databases.reader(settings) as connection:
        return await indexes.check(connection)
