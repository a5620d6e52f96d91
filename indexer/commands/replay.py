"""`replay`: the projections made again from the log, in place or in a shadow."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import asyncpg
import click
import msgspec

from indexer import config, errors, values
from indexer.app import databases, engines, networks
from indexer.audit import invariants, reconciliations, shadow_diff
from indexer.cairo import felt252
from indexer.commands import arguments, event_loop, output, progress
from indexer.log import cursor, watch_list
from indexer.projections import replay
from indexer.projections.shadow import build, swap
from indexer.query import names
from indexer.store import database, locks, migrate


class ShadowReplay(msgspec.Struct, frozen=True):
    """What a shadow replay found and did. `refused` says why it was not swapped."""

    difference: shadow_diff.Difference
    resumed_at: int | None
    swapped: bool
    rows_changed: int
    refused: str | None = None


class ReplayRequest(msgspec.Struct, frozen=True):
    """What was asked for; `allowed` rows may differ at a swap, None: any number."""

    from_block: int
    to_block: int | None
    swap: bool
    allowed: int | None
    keep: bool
    pool: int | str | None = None


@click.command(epilog="Example: vesu-indexer replay --from-block 0 --shadow --swap")
@arguments.options
@click.option("--from-block", type=arguments.BLOCK, help="First block to fold again.")
@click.option(
    "--to-block",
    type=arguments.BLOCK,
    help="Last one, if what stands above it rests on the same state (default: the committed one).",
)
@click.option("--shadow", "in_shadow", is_flag=True, help="Build beside the live tables, compare.")
@click.option("--swap", is_flag=True, help="With --shadow: then put the shadow live.")
@click.option(
    "--allow-differences",
    "allowed",
    metavar="N|all",
    default="0",
    show_default=True,
    help="Refuse to swap if more rows differ.",
)
@click.option("--keep", is_flag=True, help="With --shadow: keep it if it is not swapped.")
@click.option(
    "--pool",
    type=arguments.felt_or_name,
    help="Put only this pool's rows live: id, address or name. Needs no --from-block.",
)
@click.option("--discard", is_flag=True, help="Only remove what a killed or kept replay left.")
def command(
    config_file: Path | None,
    as_json: bool,
    from_block: int | None,
    to_block: int | None,
    in_shadow: bool,
    swap: bool,
    allowed: str,
    keep: bool,
    discard: bool,
    pool: int | str | None,
) -> None:
    """Refold the raw log into all tables from a block on. Needs no node.

    In place: the daemon is stopped, readers keep seeing the old tables until all is refolded
    and put live in one transaction. A killed replay goes on where it was when it is started
    again with the same first block.

    With --shadow the daemon may go on: the tables are built again beside the live ones and
    compared by table and column. Exit code 1: they differ. With --swap the shadow is then put
    live in one transaction, if no more rows differ than --allow-differences; exit code 0, or 1
    where it is refused.

    With --to-block only the blocks up to it are refolded and compared. They are put live where
    the tables leave that block in the same state; where they do not, what follows is wrong as
    well, and the replay goes on to the committed block.

    With --pool only rows of that pool are put live, as for one that is frozen no more; every other
    row stays as it is.
    """
    if pool is not None and from_block is None:
        from_block = 0
    _check_usage(from_block, in_shadow, swap, keep, discard)
    if pool is not None and (in_shadow or discard or to_block is not None):
        raise click.UsageError("--pool excludes --shadow, --discard and --to-block")
    arguments.require_range(from_block, to_block)
    settings = arguments.settings(config_file)
    with databases.database_url(settings) as url:
        migrate.require(url)
        if discard:
            _print_discarded(event_loop.run(_discard(settings, url)), as_json)
            return
        event_loop.collect_rarely()
        request = ReplayRequest(from_block or 0, to_block, swap, _number(allowed), keep, pool)
        if in_shadow:
            outcome = event_loop.run(_shadow(settings, url, request, as_json), event_loop.fast())
        else:
            done = event_loop.run(_in_place(settings, url, request, as_json), event_loop.fast())
        if not in_shadow or outcome.swapped:
            event_loop.run(_settle(url))
    if in_shadow:
        _print_outcome(outcome, as_json)
        sys.exit(0 if outcome.swapped or outcome.difference.is_equal else 1)
    _print_done(done, as_json)


def _check_usage(
    from_block: int | None, in_shadow: bool, swap: bool, keep: bool, discard: bool
) -> None:
    for flag, is_set in (("--swap", swap), ("--keep", keep)):
        if is_set and not in_shadow:
            raise click.UsageError(f"{flag} needs --shadow")
    if from_block is None and not discard:
        raise click.UsageError("replay needs --from-block, the first block to fold again")


def _number(allowed: str) -> int | None:
    if allowed != "all" and not allowed.isdecimal():
        raise click.BadParameter(f"--allow-differences {allowed}: write a number of rows or `all`")
    return None if allowed == "all" else int(allowed)


async def _in_place(
    settings: config.Settings, url: str, request: ReplayRequest, quiet: bool
) -> replay.Done:
    async with locks.WriterLock(url), database.session(url) as connection:
        built = _shadow_on(connection, settings, url)
        await watch_list.require_same(connection, networks.watched_contracts(settings))
        report = _reporter("replaying", quiet)
        pool_id = None
        if request.pool is not None:
            pool_id = felt252.padded(await names.pool(connection, request.pool))
        return await replay.replay(built, request.from_block, request.to_block, report, pool_id)


def _shadow_on(connection: asyncpg.Connection, settings: config.Settings, url: str) -> build.Shadow:
    open_second = functools.partial(database.session, url)
    return build.Shadow(
        connection, engines.engine(settings), settings.ingest.batch_events, open_second
    )


async def _settle(url: str) -> None:
    """Close the findings about rows that the replay replaced."""
    async with database.session(url) as connection, connection.transaction():
        committed = await cursor.read(connection)
        assert committed is not None, "a replay needs a committed block"
        await invariants.settle(connection, committed.block_number)
        await reconciliations.settle_gone(connection)


async def _shadow(
    settings: config.Settings, url: str, request: ReplayRequest, quiet: bool
) -> ShadowReplay:
    async with database.session(url) as connection:
        built = _shadow_on(connection, settings, url)
        await watch_list.require_same(connection, networks.watched_contracts(settings))
        if request.swap:
            await replay.require_enough(connection, request.from_block, request.to_block)
        await built.open(request.from_block, request.to_block)
        report = _reporter("shadow replay", quiet)
        difference = await shadow_diff.level(built, request.to_block, report)
        outcome = ShadowReplay(difference, built.resumed_at, False, 0)  # noqa: FBT003
        if request.swap:
            outcome = await _swapped(built, request, report, outcome)
        if not (outcome.swapped or request.keep):
            await built.drop()
    return outcome


def _reporter(task: str, quiet: bool) -> build.ReportProgress:
    """A progress line that begins where the replay does, at its first block or after a kill."""
    lines: dict[int, progress.Blocks] = {}

    def report(built: build.Progress) -> None:
        if built.from_block not in lines:
            lines[built.from_block] = progress.Blocks(task, built.from_block, quiet=quiet)
        lines[built.from_block].update(built.block, built.to_block, built.events)

    return report


async def _swapped(
    built: build.Shadow, request: ReplayRequest, report: build.ReportProgress, outcome: ShadowReplay
) -> ShadowReplay:
    try:
        done = await swap.swap(built, report, request.to_block, request.allowed)
    except errors.DifferencesError as error:
        return msgspec.structs.replace(outcome, refused=str(error))
    return msgspec.structs.replace(outcome, swapped=True, rows_changed=done.rows_changed)


async def _discard(settings: config.Settings, url: str) -> bool:
    async with database.session(url) as connection:
        return await build.Shadow(connection, engines.engine(settings)).discard()


def _print_discarded(was_there: bool, as_json: bool) -> None:
    if as_json:
        output.print_json({"discarded": was_there})
    else:
        click.echo("The shadow is removed." if was_there else "There is no shadow.")


def _print_done(done: replay.Done, as_json: bool) -> None:
    if as_json:
        output.print_json(done)
        return
    resumed = "" if done.resumed_at is None else f", gone on after block {done.resumed_at:,}"
    click.echo(
        f"Replayed {values.counted(done.events, 'event')} of blocks {done.from_block:,} to "
        f"{done.to_block:,}{resumed}; {values.counted(done.rows_changed, 'row')} changed."
    )


def _print_outcome(outcome: ShadowReplay, as_json: bool) -> None:
    if as_json:
        output.print_json(outcome)
        return
    for name, table in outcome.difference.tables.items():
        _print_table(name, table)
    if first := outcome.difference.first_event:
        click.echo(
            f"They part at event {first.block_number}/{first.transaction_index}/"
            f"{first.event_index}: {first.name} of {first.contract}, {first.transaction_hash}"
        )
    if outcome.difference.is_equal and not outcome.swapped:
        click.echo(
            f"Equal up to block {outcome.difference.block_number:,}: the live tables are what the "
            "log gives."
        )
    elif not outcome.swapped:
        click.echo("They differ, and the live tables are as they were.")
    if outcome.swapped:
        click.echo(f"Swapped: {values.counted(outcome.rows_changed, 'row')} changed.")
    if outcome.refused:
        click.echo(f"error: {outcome.refused}", err=True)


def _print_table(name: str, table: shadow_diff.TableDifference) -> None:
    verdict = "equal" if table.is_equal else "DIFFERS"
    click.echo(f"{verdict:<8} {name:<24} {values.counted(table.live_rows, 'row')}")
    if table.missing or table.extra:
        click.echo(f"{'':<8} {table.missing:,} missing, {table.extra:,} too many")
    for column, count in table.columns.items():
        differ = values.counted(count, "row differs", "rows differ")
        click.echo(f"{'':<8} {differ} in {column}")
    for example in table.examples:
        key = ", ".join(f"{column}={value}" for column, value in example.key.items())
        live, shadow_row = example.live, example.shadow
        if live is None or shadow_row is None:
            click.echo(f"{'':<8} e.g. {key}: {'missing' if live is None else 'too many'}")
            continue
        sides = ", ".join(f"{column} {live[column]} -> {shadow_row[column]}" for column in live)
        click.echo(f"{'':<8} e.g. {key}: {sides}")
