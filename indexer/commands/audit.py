"""`audit`: everything that can be proved, in one report."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from indexer import app, config
from indexer.audit import report
from indexer.commands import common


@click.command(epilog="Example: vesu-indexer audit --markdown > audit.md")
@common.options
@click.option("--markdown", is_flag=True, help="Print the report as Markdown.")
def command(config_file: Path | None, as_json: bool, markdown: bool) -> None:
    """Prove what can be proved without a node: sums, histories, completeness, indexes.

    Prints what was checked, with how many comparisons, and what was not covered. Exit code 1:
    something does not hold.
    """
    found = common.run(_make(common.settings(config_file)))
    if as_json:
        common.print_json(found)
    elif markdown:
        _print_markdown(found)
    else:
        _print(found)
    sys.exit(0 if found.is_good else 1)


async def _make(settings: config.Settings) -> report.Report:
    async with app.reader(settings) as connection:
        return await report.make(connection)


def _print(found: report.Report) -> None:
    for check in found.checks:
        state = "ok  " if check.is_good else "FAIL"
        click.echo(f"{state}  {check.name:<34} {check.compared:>9,}  {check.found}")
    for item in found.not_covered:
        click.echo(f"-     not covered: {item}")
    click.echo(f"block {found.block_number:,} {found.block_hash}")
    click.echo(f"digest {found.digest}, {found.compared:,} comparisons")


def _print_markdown(found: report.Report) -> None:
    click.echo(f"# Audit at block {found.block_number}\n")
    click.echo(f"Block hash `{found.block_hash}`, digest `{found.digest}`.\n")
    click.echo("| check | holds | comparisons | found |\n|---|---|---|---|")
    for check in found.checks:
        holds = "yes" if check.is_good else "**no**"
        click.echo(f"| {check.name} | {holds} | {check.compared} | {check.found} |")
    click.echo("\nNot covered:\n")
    for item in found.not_covered:
        click.echo(f"- {item}")
