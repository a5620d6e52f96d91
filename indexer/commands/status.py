"""`status`: where the tables stand."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from indexer import app, config, values
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
    found = event_loop.run(_read(settings))
    if as_json:
        output.print_json(found)
    else:
        _print(found, settings.ingest.verify_blocks_per_minute)
    sys.exit(0 if found.is_fresh else 1)


async def _read(settings: config.Settings) -> status.Status:
    async with app.reader(settings) as connection:
        return await status.read(connection, app.health_limits(settings))


def _print(found: status.Status, proved_per_minute: int) -> None:
    age = "-" if found.age_seconds is None else f"{values.duration(found.age_seconds)} old"
    silence = found.head_silence_seconds
    lines = [
        ("state", f"{found.state if found.is_fresh else found.state.upper()}: {found.reason}"),
        ("committed", f"block {found.committed_block:,} ({age})" if found.committed_hash else "-"),
        ("hash", found.committed_hash or "-"),
        ("head", "-" if found.head_block is None else f"block {found.head_block:,}"),
        ("heard", "never" if silence is None else f"{values.duration(silence)} ago"),
        (
            "lag",
            "-" if found.lag_blocks is None else f"{values.counted(found.lag_blocks, 'block')}",
        ),
        ("final", _final(found)),
        ("chain", found.chain_id and felt252.named(int(found.chain_id, 16))),
        ("rows", ", ".join(f"{count:,} {name}" for name, count in found.rows.items())),
        ("verified", found.completeness.sentence()),
        ("receipts", _receipts(found.blocks_by_events_alone, proved_per_minute)),
        ("reorgs", f"{found.fork_counter:,}"),
    ]
    for name, value in lines:
        click.echo(f"{name:<10} {value}")
    for reason in found.reasons:
        click.echo(f"{'unhealthy':<10} {reason.name}: {reason.reason}")
        click.echo(f"{'remedy':<10} {reason.remedy}")
    for reorg in found.reorgs:
        click.echo(
            f"{'':<10} block {reorg.old_number:,} back to {reorg.ancestor_number:,}: "
            f"{values.counted(reorg.events_orphaned, 'event')}, {reorg.seconds:.2f} s, "
            f"{reorg.detected_at:%F %T} UTC"
            f"{' (repair)' if reorg.cause == 'repair' else ''}"
        )
    click.echo(
        f"{'gaps':<10} {found.completeness.gaps_open:,} open, "
        f"{found.completeness.gaps_repaired:,} repaired"
    )
    for gap in found.completeness.open_gaps:
        click.echo(
            f"{'':<10} {gap.difference} in block {gap.block_number:,}: event {gap.event_index} of "
            f"{gap.transaction_hash}"
        )
    _print_checks(found)
    unknown = sum(event.events for event in found.undecoded)
    click.echo(f"{'undecoded':<10} {values.counted(unknown, 'event')}")
    for event in found.undecoded:
        click.echo(
            f"{'':<10} {event.events:,} x {event.selector} of {event.contract} {event.address}"
        )


def _final(found: status.Status) -> str:
    """The newest block accepted on L1, where the node tells."""
    if found.finalised_block is None:
        return "the node knows no block accepted on L1"
    return f"block {found.finalised_block:,} accepted on L1"


def _receipts(blocks: int, per_minute: int) -> str:
    """How many blocks the background has still to read, and how long that takes at its budget."""
    if not blocks:
        return "all read"
    left = values.counted(blocks, "block")
    if not per_minute:
        return f"{left} still to read; ingest.verify_blocks_per_minute = 0 reads none"
    hours = blocks / per_minute / 60
    return f"{left} still to read: about {hours:,.1f} hours at {per_minute:,} a minute"


def _print_checks(found: status.Status) -> None:
    check, prices = found.reconciled, found.prices
    if check is None:
        click.echo(f"{'reconciled':<10} never")
    else:
        click.echo(
            f"{'reconciled':<10} block {check.block_number:,} ({check.scope}), "
            f"{values.counted(check.compared, 'value')}, {check.differences:,} different, "
            f"{found.standing_differences:,} still standing"
        )
    for value in found.differing:
        click.echo(
            f"{'':<10} {value.table} {value.row_id}: {value.column} is {value.ours}, "
            f"{value.view}() says {value.theirs}"
        )
    click.echo(f"{'sums':<10} {len(found.invariant_breaks):,} broken")
    for broken in found.invariant_breaks:
        click.echo(
            f"{'':<10} {broken.invariant} of {broken.what}: {broken.found:f}, expected "
            f"{broken.expected:f}, since block {broken.first_block:,}"
        )
    click.echo(f"{'quarantine':<10} {values.counted(len(found.quarantined), 'pool')}")
    for frozen in found.quarantined:
        click.echo(
            f"{'':<10} {frozen.name or 'unnamed'} {frozen.pool_id} since block "
            f"{frozen.since_block:,}: {frozen.reason}"
        )
    click.echo(f"{'classes':<10} {len(found.unknown_classes):,} unknown")
    for strange in found.unknown_classes:
        click.echo(
            f"{'':<10} {strange.kind} {strange.address}: {strange.class_hash}, "
            f"{values.counted(strange.pools, 'pool')}"
        )
    click.echo(f"{'views':<10} {len(found.unanswered_views):,} never answered")
    for view in found.unanswered_views:
        click.echo(
            f"{'':<10} {view.view} of {view.contract} at block {view.block_number:,}, of pools "
            f"{', '.join(view.pools) or 'not known'}"
        )
    sampled = "never" if prices.sampled_block is None else f"block {prices.sampled_block:,}"
    click.echo(
        f"{'prices':<10} of {values.counted(prices.assets, 'asset')}: {prices.missing:,} missing, "
        f"{prices.invalid:,} invalid, {prices.stale:,} stale; sampled: {sampled}"
    )
