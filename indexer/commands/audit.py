"""`audit`: everything that can be proved, in one report."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import click

from indexer import config, errors, values
from indexer.app import databases, engines, networks, nodes
from indexer.audit import refold, report
from indexer.commands import arguments, event_loop, output
from indexer.log import cursor

SAMPLE_ROWS = 50
"""How many rows of each table a sample compares with the contracts' views."""


@click.command(epilog="Example: vesu-indexer audit --refold all --markdown > audit.md")
@arguments.options
@click.option("--markdown", is_flag=True, help="Print the report as Markdown.")
@click.option(
    "--refold",
    "scope",
    type=click.Choice(["sample", "all", "off"]),
    default="sample",
    show_default=True,
    help="How much of the log is folded again and held against the tables.",
)
@click.option(
    "--views",
    type=click.Choice(["sample", "all", "off"]),
    default="sample",
    show_default=True,
    help="How many rows are held against the contracts' views, where a node is configured.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, values.MAX_BLOCK),
    help="Chooses the samples (default: the committed block's number).",
)
def command(
    config_file: Path | None,
    as_json: bool,
    markdown: bool,
    scope: refold.Scope,
    views: str,
    seed: int | None,
) -> None:
    """Prove what can be proved: histories, a refold, sums, completeness, contracts, indexes.

    Prints what was checked, with how many comparisons, and what was not covered and why. The
    daemon may go on. Exit code 1: something does not hold.
    """
    audit_report = event_loop.run(_make(arguments.settings(config_file), scope, views, seed))
    if as_json:
        output.print_json(audit_report)
    elif markdown:
        _print_markdown(audit_report)
    else:
        _print(audit_report)
    sys.exit(0 if audit_report.is_good else 1)


async def _make(
    settings: config.Settings, scope: refold.Scope, views: str, seed: int | None
) -> report.AuditReport:
    async with databases.reader(settings) as connection:
        committed = await cursor.read(connection)
        chosen = seed if seed is not None else committed.block_number if committed else 0
        refolding = refold.Refolding(
            engines.engine(settings), scope, chosen, settings.ingest.batch_events
        )
        async with _asking(settings, views, chosen) as asking:
            return await report.make(connection, refolding, asking)


@contextlib.asynccontextmanager
async def _asking(
    settings: config.Settings, views: str, seed: int
) -> AsyncIterator[report.ViewCheck]:
    """The configured node, or why none is asked: that is no failure of the audit."""
    sample = None if views == "all" else SAMPLE_ROWS
    asking = report.ViewCheck(
        None, "no node is configured", networks.extensions(settings), sample, seed
    )
    if views == "off":
        asking.why_not = "not asked for (--views off)"
    elif settings.node.urls:
        try:
            asking.node = await nodes.node(settings)
        except errors.NodeError as error:
            asking.why_not = str(error)
    try:
        yield asking
    finally:
        if asking.node is not None:
            await asking.node.close()


def _print(audit_report: report.AuditReport) -> None:
    for check in audit_report.checks:
        state = "ok  " if check.is_good else "FAIL"
        click.echo(f"{state}  {check.name:<34} {check.compared:>9,}  {check.found}")
    for item in audit_report.not_covered:
        click.echo(f"-     not covered: {item.what}: {item.why}")
    click.echo(f"block {audit_report.block_number:,} {audit_report.block_hash}")
    click.echo(
        f"digest {audit_report.digest}, {values.counted(audit_report.compared, 'comparison')}, "
        f"{audit_report.seconds:,.1f} s"
    )


def _print_markdown(audit_report: report.AuditReport) -> None:
    click.echo(f"# Audit at block {audit_report.block_number}\n")
    click.echo(f"Block hash `{audit_report.block_hash}`, digest `{audit_report.digest}`.\n")
    click.echo(
        f"{values.counted(audit_report.compared, 'comparison')} in {audit_report.seconds:,.1f} s.\n"
    )
    click.echo("| check | holds | comparisons | found |\n|---|---|---|---|")
    for check in audit_report.checks:
        holds = "yes" if check.is_good else "**no**"
        click.echo(f"| {check.name} | {holds} | {check.compared:,} | {check.found} |")
    click.echo("\n| not covered | why |\n|---|---|")
    for item in audit_report.not_covered:
        click.echo(f"| {item.what} | {item.why} |")
