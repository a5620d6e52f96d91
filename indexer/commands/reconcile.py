"""`reconcile`: the tables against the contracts' own views."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from indexer import config, errors, values
from indexer.app import databases, networks, nodes
from indexer.audit import reconcile, reconciliations, stored_state
from indexer.commands import arguments, event_loop, output, progress
from indexer.query import names


@click.command(epilog="Example: vesu-indexer reconcile --sample 200 --seed today --json")
@arguments.options
@click.option("--block", type=arguments.BLOCK, help="Any committed block (default: the last).")
@click.option("--pool", type=arguments.felt_or_name, help="Only this pool: id, address or name.")
@click.option("--user", type=arguments.felt, help="Only positions of this wallet.")
@click.option(
    "--sample",
    type=click.IntRange(1, 1_000_000_000),
    metavar="N",
    help="Only so many rows of each table, by the seed (default: all).",
)
@click.option("--seed", help="Chooses the sample: the same seed, the same rows.")
def command(
    config_file: Path | None,
    as_json: bool,
    block: int | None,
    pool: int | str | None,
    user: int | None,
    sample: int | None,
    seed: str | None,
) -> None:
    """Hold the tables against the contracts' own views at one block's hash.

    Positions, vToken balances and supplies, asset and pair configurations, totals, sampled
    prices, collateralisation and pool settings are compared as integers, tolerance 0, from
    history, and at the committed block from the current rows too. The check is stored; what
    differs stands in `status` and /health until a later check finds it equal.

    The node must have the state of that block. Exit code 1: differences, listed with table,
    row, column, our value and the contract's.
    """
    if seed is not None and sample is None:
        raise click.UsageError("--seed needs --sample: without it every row is checked")
    settings = arguments.settings(config_file)
    settings.require_node()
    scope = stored_state.Scope(None, user, sample, seed or "0")
    reconciliation = event_loop.run(_check(settings, block, pool, scope, as_json))
    if as_json:
        output.print_json(reconciliation)
    else:
        _print(reconciliation)
    sys.exit(0 if reconciliation.is_equal else 1)


async def _check(
    settings: config.Settings,
    block: int | None,
    pool: int | str | None,
    scope: stored_state.Scope,
    quiet: bool,
) -> reconcile.Reconciliation:
    """Compare and store. NotFoundError: nothing is there to be compared, which is not equality."""
    line = progress.Counted("reconciling", "views", quiet=quiet)
    async with databases.reader(settings) as connection:
        if pool is not None:
            scope = msgspec.structs.replace(scope, pool=await names.pool(connection, pool))
        node = await nodes.node(settings)
        try:
            reconciliation, equal = await reconcile.check(
                connection,
                node,
                block,
                scope,
                networks.extensions(settings),
                line.update,
            )
        finally:
            await node.close()
        if not reconciliation.rows and (pool is not None or scope.user is not None):
            raise errors.NotFoundError(
                f"nothing to compare at block {reconciliation.block_number}: "
                f"no row of {reconciliation.scope}"
            )
        await reconciliations.store(connection, reconciliation, equal, origin="command")
    return reconciliation


def _print(reconciliation: reconcile.Reconciliation) -> None:
    click.echo(
        f"block {reconciliation.block_number:,} {reconciliation.block_hash}, "
        f"scope: {reconciliation.scope}"
    )
    click.echo(f"{'view':<26} {'asked':>9} {'compared':>9} {'refused':>8} {'differ':>7}")
    for name, count in reconciliation.views.items():
        click.echo(
            f"{name:<26} {count.asked:>9,} {count.compared:>9,} {count.refused:>8,} "
            f"{count.differences:>7,}"
        )
    for difference in reconciliation.differences:
        version = (
            ""
            if difference.version is None
            else f" (version {'/'.join(map(str, difference.version))})"
        )
        click.echo(
            f"DIFFERS  {difference.table} {difference.row_id}{version}: "
            f"{difference.column} is {difference.ours}, "
            f"{difference.view}() of {difference.contract} says {difference.theirs}"
        )
    differ = values.counted(len(reconciliation.differences), "value differs", "values differ")
    rows = values.counted(reconciliation.rows, "row")
    compared = f"{values.counted(reconciliation.compared, 'value')} of {rows}"
    click.echo(f"{compared} compared: {'equal' if reconciliation.is_equal else differ}")
