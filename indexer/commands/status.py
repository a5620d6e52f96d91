"""`status`: where the tables stand."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from indexer import config, values
from indexer.app import databases, health_ages
from indexer.cairo import felt252
from indexer.commands import arguments, event_loop, output
from indexer.query import status


@click.command(epilog="Example: vesu-indexer status --json")
@arguments.options
def command(config_file: Path | None, as_json: bool) -> None:
    """Show cursor, head, lag, age, finality, verified ranges, reorganisations, unknown events.

    Exit code 0: the tables are fresh; 1: they are stale, or the chain is suspect.
    """
    settings = arguments.settings(config_file)
    status_ = event_loop.run(_read(settings))
    if as_json:
        output.print_json(status_)
    else:
        _print(status_, settings.ingest.verify_blocks_per_minute)
    sys.exit(0 if status_.is_fresh else 1)


async def _read(settings: config.Settings) -> status.Status:
    async with databases.reader(settings) as connection:
        return await status.read(connection, health_ages.limits(settings))


def _print(status_: status.Status, proved_per_minute: int) -> None:
    age = "-" if status_.age_seconds is None else f"{values.duration(status_.age_seconds)} old"
    silence = status_.head_silence_seconds
    lines = [
        (
            "state",
            f"{status_.state if status_.is_fresh else status_.state.upper()}: {status_.reason}",
        ),
        (
            "committed",
            f"block {status_.committed_block:,} ({age})" if status_.committed_hash else "-",
        ),
        ("hash", status_.committed_hash or "-"),
        ("head", "-" if status_.head_block is None else f"block {status_.head_block:,}"),
        ("heard", "never" if silence is None else f"{values.duration(silence)} ago"),
        (
            "lag",
            "-" if status_.lag_blocks is None else f"{values.counted(status_.lag_blocks, 'block')}",
        ),
        ("final", _final(status_)),
        ("chain", status_.chain_id and felt252.named(int(status_.chain_id, 16))),
        ("rows", ", ".join(f"{_count(count)} {name}" for name, count in status_.rows.items())),
        ("verified", status_.completeness.sentence()),
        ("receipts", _receipts(status_.blocks_by_events_alone, proved_per_minute)),
        ("reorgs", f"{status_.fork_counter:,}"),
    ]
    for name, value in lines:
        click.echo(f"{name:<10} {value}")
    for reorg in status_.reorgs:
        click.echo(
            f"{'':<10} block {reorg.old_number:,} back to {reorg.ancestor_number:,}: "
            f"{values.counted(reorg.events_orphaned, 'event')}, {reorg.seconds:.2f} s, "
            f"{reorg.detected_at:%F %T} UTC"
            f"{' (repair)' if reorg.cause == 'repair' else ''}"
        )
    for reason in status_.reasons:
        click.echo(f"{'unhealthy':<10} {reason.name}: {reason.reason}")
        click.echo(f"{'remedy':<10} {reason.remedy}")
    click.echo(
        f"{'gaps':<10} {status_.completeness.gaps_open:,} open, "
        f"{status_.completeness.gaps_repaired:,} repaired"
    )
    for gap in status_.completeness.open_gaps:
        click.echo(
            f"{'':<10} {gap.difference} in block {gap.block_number:,}: event {gap.event_index} of "
            f"{gap.transaction_hash}"
        )
    _print_checks(status_)
    unknown = sum(event.events for event in status_.undecoded)
    click.echo(f"{'undecoded':<10} {values.counted(unknown, 'event')}")
    for event in status_.undecoded:
        click.echo(
            f"{'':<10} {event.events:,} x {event.selector} of {event.contract} {event.address}"
        )


def _count(rows: int | None) -> str:
    return "-" if rows is None else f"{rows:,}"


def _final(status_: status.Status) -> str:
    """The newest block accepted on L1, where the node tells."""
    if status_.finalised_block is None:
        return "the node knows no block accepted on L1"
    return f"block {status_.finalised_block:,} accepted on L1"


def _receipts(blocks: int, per_minute: int) -> str:
    """How many blocks the background has still to read, and how long that takes at its budget."""
    if not blocks:
        return "all read"
    left = values.counted(blocks, "block")
    if not per_minute:
        return f"{left} still to read; ingest.verify_blocks_per_minute = 0 reads none"
    hours = blocks / per_minute / 60
    return f"{left} still to read: about {hours:,.1f} hours at {per_minute:,} a minute"


def _print_checks(status_: status.Status) -> None:
    check, prices = status_.reconciled, status_.prices
    if check is None:
        click.echo(f"{'reconciled':<10} never")
    else:
        click.echo(
            f"{'reconciled':<10} block {check.block_number:,} ({check.scope}), "
            f"{values.counted(check.compared, 'value')}, {check.differences:,} different, "
            f"{status_.standing_differences:,} still standing"
        )
    for value in status_.differing:
        click.echo(
            f"{'':<10} {value.table} {value.row_id}: {value.column} is {value.ours}, "
            f"{value.view}() says {value.theirs}"
        )
    click.echo(f"{'sums':<10} {len(status_.invariant_breaks):,} broken")
    for broken in status_.invariant_breaks:
        click.echo(
            f"{'':<10} {broken.invariant} of {broken.what}: {broken.found:f}, expected "
            f"{broken.expected:f}, since block {broken.first_block:,}"
        )
    click.echo(f"{'quarantine':<10} {values.counted(len(status_.quarantined), 'pool')}")
    for frozen in status_.quarantined:
        click.echo(
            f"{'':<10} {frozen.name or 'unnamed'} {frozen.pool_id} since block "
            f"{frozen.since_block:,}: {frozen.reason}"
        )
    click.echo(f"{'classes':<10} {len(status_.unknown_classes):,} unknown")
    for strange in status_.unknown_classes:
        click.echo(
            f"{'':<10} {strange.kind} {strange.address}: {strange.class_hash}, "
            f"{values.counted(strange.pools, 'pool')}"
        )
    click.echo(f"{'views':<10} {len(status_.unanswered_views):,} never answered")
    for view in status_.unanswered_views:
        click.echo(
            f"{'':<10} {view.view} of {view.contract} at block {view.block_number:,}, of pools "
            f"{', '.join(view.pools) or 'not known'}"
        )
    sampled = "never" if prices.sampled_block is None else f"block {prices.sampled_block:,}"
    click.echo(
        f"{'prices':<10} of {values.counted(prices.assets, 'asset')}: {prices.missing:,} missing, "
        f"{prices.invalid:,} invalid, {prices.stale:,} stale; sampled: {sampled}"
    )
