"""`maintenance`: vacuum, statistics, indexes, retention, and advice."""

from __future__ import annotations

import sys
from pathlib import Path

import asyncpg
import click
import msgspec

from indexer import config, errors, values
from indexer.app import databases
from indexer.audit import advice
from indexer.commands import arguments, event_loop, output, progress
from indexer.log import retention
from indexer.projections.shadow import build
from indexer.store import upkeep


class MaintenanceParts(msgspec.Struct, frozen=True):
    """Which parts of the maintenance are wanted."""

    vacuum: bool
    analyze: bool
    reindex: bool
    advise: bool
    retention: bool
    apply: bool


class MaintenanceResult(msgspec.Struct, frozen=True):
    """What was done and found; None or empty where it was not asked for."""

    done: list[upkeep.Done]
    retention: retention.Expired | None
    advice: advice.AdviceReport | None

    @property
    def skipped(self) -> list[upkeep.Done]:
        """What PostgreSQL did not do."""
        return [step for step in self.done if step.complaint]


@click.command(epilog="Example: vesu-indexer maintenance --vacuum --analyze --advise")
@arguments.options
@click.option("--vacuum", is_flag=True, help="VACUUM every table.")
@click.option("--analyze", is_flag=True, help="ANALYZE every table.")
@click.option("--reindex", is_flag=True, help="Build every index anew, beside the old one.")
@click.option("--advise", is_flag=True, help="Only look (what happens without any of these).")
@click.option("--retention", "retain", is_flag=True, help="Show what is older than is kept.")
@click.option("--apply", is_flag=True, help="With --retention: delete it.")
@click.option(
    "--retain-orphans-days",
    type=click.IntRange(0, 36_500),
    help="Instead of maintenance.retain_orphans_days.",
)
def command(
    config_file: Path | None,
    as_json: bool,
    vacuum: bool,
    analyze: bool,
    reindex: bool,
    advise: bool,
    retain: bool,
    apply: bool,
    retain_orphans_days: int | None,
) -> None:
    """Keep the database fit; the daemon and readers may go on meanwhile.

    --advise tells sizes, dead rows, unused, duplicate, invalid and bloated indexes and long
    transactions, with the statement that puts each right. --retention tells what of abandoned
    branches is older than maintenance.retain_orphans_days, and deletes it with --apply alone.
    Exit code 1: PostgreSQL left something undone.
    """
    if apply and not retain:
        raise click.UsageError("--apply needs --retention: nothing else deletes")
    if retain_orphans_days is not None and not retain:
        raise click.UsageError("--retain-orphans-days needs --retention")
    settings = arguments.settings(config_file, maintenance__retain_orphans_days=retain_orphans_days)
    only_look = not (vacuum or analyze or reindex or retain)
    parts = MaintenanceParts(vacuum, analyze, reindex, advise or only_look, retain, apply)
    outcome = event_loop.run(_maintain(settings, parts, as_json))
    if as_json:
        output.print_json(outcome)
    else:
        _print(outcome)
    sys.exit(1 if outcome.skipped else 0)


async def _maintain(
    settings: config.Settings, parts: MaintenanceParts, quiet: bool
) -> MaintenanceResult:
    days = settings.maintenance.retain_orphans_days
    line = progress.Counted("maintaining", "steps", quiet=quiet)
    expired = found = None
    done: list[upkeep.Done] = []
    async with databases.reader(settings) as connection:
        if parts.retention:
            expired = await _retain(connection, days, line, apply=parts.apply)
        if parts.reindex or parts.vacuum or parts.analyze:
            async with upkeep.alone(connection):
                if parts.reindex:
                    done += await upkeep.reindex(connection, line.update)
                if parts.vacuum or parts.analyze:
                    done += await upkeep.vacuum(
                        connection, line.update, vacuum=parts.vacuum, analyze=parts.analyze
                    )
        if parts.advise:
            found = await advice.read(connection)
    return MaintenanceResult(done, expired, found)


async def _retain(
    connection: asyncpg.Connection, days: int, line: progress.Counted, *, apply: bool
) -> retention.Expired:
    if apply:
        if (await retention.look(connection, days)).reorgs and await build.exists(connection):
            raise errors.WriterConflictError(
                "a replay that is not finished reads the reorganisations: finish it, or give it "
                "up (vesu-indexer replay --discard), then try again"
            )
        return await retention.apply(connection, days, line.update)
    return await retention.look(connection, days)


def _print(outcome: MaintenanceResult) -> None:
    if outcome.retention is not None:
        _print_retention(outcome.retention)
    for step in outcome.done:
        sizes = f"{values.size(step.bytes_before)} to {values.size(step.bytes_after)}"
        change = f"{sizes}, {step.seconds:.1f} s"
        click.echo(
            f"{'skipped' if step.complaint else 'done   '}  {step.statement}: "
            f"{step.complaint or change}"
        )
    if outcome.advice is not None:
        _print_advice(outcome.advice)


def _print_retention(expired: retention.Expired) -> None:
    if expired.days == 0:
        click.echo("Abandoned branches are kept for ever (maintenance.retain_orphans_days = 0).")
        return
    expired_rows = (
        f"{values.counted(expired.reorgs, 'reorganisation')} older than "
        f"{values.counted(expired.days, 'day')}, with "
        f"{values.counted(expired.orphaned_events, 'event')}, "
        f"{values.counted(expired.orphaned_observations, 'observation')} and "
        f"{values.counted(expired.completeness_gaps + expired.observation_gaps, 'repaired gap')}"
    )
    click.echo(
        f"Deleted {expired_rows}."
        if expired.deleted
        else f"Would delete {expired_rows}; do it: --apply"
    )


def _print_advice(report: advice.AdviceReport) -> None:
    click.echo(f"{'table':<26} {'size':>11} {'of indexes':>11} {'rows':>12} {'dead rows':>10}")
    for table in report.tables:
        click.echo(
            f"{table.name:<26} {values.size(table.total_bytes):>11} "
            f"{values.size(table.index_bytes):>11} "
            f"{table.live_rows:>12,} {table.dead_rows:>10,}"
        )
    for suggestion in report.advice:
        click.echo(f"{suggestion.kind}: {suggestion.subject}: {suggestion.finding}")
        if suggestion.remedy:
            click.echo(f"  {suggestion.remedy}")
    if report.kept:
        kept = values.counted(len(report.kept), "promised index", "promised indexes")
        click.echo(f"Kept, though unused or covered here: {kept}.")
    if not report.advice:
        click.echo("Nothing to do.")
