"""`replay`: the projections made again from the log, in place or in a shadow."""

from __future__ import annotations

import sys
from pathlib import Path

import asyncpg
import click
import msgspec

from indexer import app, config, errors
from indexer.audit import shadow_diff
from indexer.commands import common
from indexer.projections import replay, shadow
from indexer.store import locks

LEVEL_ATTEMPTS = 20
"""So often does a comparison wait for a moment when shadow and live stand at one block."""


class Outcome(msgspec.Struct, frozen=True):
    """What a shadow replay found and did."""

    difference: shadow_diff.Difference
    swapped: bool
    rows_changed: int


@click.command(epilog="Example: vesu-indexer replay --from-block 0 --shadow --swap")
@common.options
@click.option(
    "--from-block", type=click.IntRange(min=0), required=True, help="First block to fold again."
)
@click.option("--to-block", type=click.IntRange(min=0), help="Must be the committed block.")
@click.option("--shadow", "in_shadow", is_flag=True, help="Build beside the live tables, compare.")
@click.option("--swap", is_flag=True, help="With --shadow: then put the shadow live.")
@click.option(
    "--allow-rows", type=click.IntRange(min=0), help="Refuse to swap if more rows differ."
)
def command(
    config_file: Path | None,
    as_json: bool,
    from_block: int,
    to_block: int | None,
    in_shadow: bool,
    swap: bool,
    allow_rows: int | None,
) -> None:
    """Refold the raw log into all tables from a block on. Needs no node.

    In place it is one transaction: readers see the old tables until it is done, and a replay
    that is killed changes nothing. Stop the daemon first; the replay takes the writer's lock.

    With --shadow the daemon may go on: all tables are built again beside the live ones and
    compared. Exit code 1: they differ. With --swap the shadow is then put live in one
    transaction, and the exit code is 0. A killed shadow goes on where it was.
    """
    if swap and not in_shadow:
        raise errors.ConfigError("--swap needs --shadow: there is nothing else to swap in")
    settings = common.settings(config_file)
    with app.database_url(settings) as url:
        app.migrated(url)
        if in_shadow:
            outcome = common.run(_shadow(settings, url, from_block, swap, allow_rows, as_json))
        else:
            done = common.run(_replay(settings, url, from_block, to_block, as_json))
    if in_shadow:
        _print_outcome(outcome, as_json)
        sys.exit(0 if outcome.swapped or outcome.difference.is_equal else 1)
    if as_json:
        common.print_json(done)
    else:
        click.echo(
            f"Replayed {done.events:,} events of blocks {done.from_block:,} to {done.to_block:,}."
        )


async def _replay(
    settings: config.Settings, url: str, from_block: int, to_block: int | None, quiet: bool
) -> replay.Progress:
    async with locks.WriterLock(url), app.connect(url) as connection:
        committed = await connection.fetchval("SELECT block_number FROM cursor")
        if to_block is not None and committed is not None and to_block != committed:
            raise errors.ConfigError(
                f"--to-block {to_block}: this version replays up to the committed block "
                f"{committed} only; leave the flag out"
            )
        line = common.ProgressLine("replaying", from_block, quiet)
        return await replay.replay(
            connection,
            app.engine(settings),
            from_block,
            lambda at: line.update(at.block, at.to_block, at.events),
        )


async def _shadow(
    settings: config.Settings,
    url: str,
    from_block: int,
    swap: bool,
    allow_rows: int | None,
    quiet: bool,
) -> Outcome:
    line = common.ProgressLine("shadow replay", from_block, quiet)

    def report(at: replay.Progress) -> None:
        line.update(at.block, at.to_block, at.events)

    async with app.connect(url) as connection:
        built = shadow.Shadow(connection, app.engine(settings))
        await built.open(from_block)
        difference = await _compared(built, connection, report)
        rows = sum(
            max([table.missing + table.extra, *table.columns.values()])
            for table in difference.tables.values()
        )
        if swap and allow_rows is not None and rows > allow_rows:
            raise errors.ConfigError(
                f"not swapped: at least {rows} rows differ, --allow-rows {allow_rows}; look at "
                "them with --shadow alone"
            )
        changed = await built.swap(report) if swap else 0
        await built.drop()
    return Outcome(difference, swap, changed)


async def _compared(
    built: shadow.Shadow, connection: asyncpg.Connection, report: shadow.Report
) -> shadow_diff.Difference:
    for _ in range(LEVEL_ATTEMPTS):
        await built.catch_up(report)
        difference = await shadow_diff.compare(connection, built.live)
        if difference is not None:
            return difference
    raise errors.WriterConflictError(
        "the daemon commits faster than the shadow catches up: not compared, try again"
    )


def _print_outcome(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        common.print_json(outcome)
        return
    for name, table in outcome.difference.tables.items():
        state = "equal" if table.is_equal else "DIFFERS"
        click.echo(f"{state:<8} {name:<24} {table.live_rows:,} rows")
        if table.missing or table.extra:
            click.echo(f"{'':<8} {table.missing:,} missing, {table.extra:,} too many")
        for column, count in table.columns.items():
            click.echo(f"{'':<8} {count:,} rows differ in {column}")
        for example in table.examples:
            click.echo(f"{'':<8} e.g. {', '.join(f'{key}={it}' for key, it in example.items())}")
    if first := outcome.difference.first_event:
        click.echo(
            f"They part at event {first.block_number}/{first.transaction_index}/"
            f"{first.event_index}: {first.name} of {first.contract}, {first.transaction_hash}"
        )
    if outcome.swapped:
        click.echo(f"Swapped: {outcome.rows_changed:,} rows changed.")
