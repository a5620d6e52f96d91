"""`reorg`: an operator takes the tables back to a block, where the daemon refuses to."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from indexer import config, errors, values
from indexer.app import databases, engines
from indexer.chain import types
from indexer.commands import arguments, event_loop, output
from indexer.daemon import rollback
from indexer.log import cursor, reorgs
from indexer.store import database, locks, migrate


class Plan(msgspec.Struct, frozen=True):
    """What was taken back, or would be. `to_block` is the highest stored one asked for."""

    from_block: int
    to_block: int
    blocks: int
    events: int
    below_final: bool
    done: bool


@click.command(epilog="Example: vesu-indexer reorg --to-block 5187263 --yes")
@arguments.options
@click.option("--to-block", type=arguments.BLOCK, required=True, help="Last block to keep.")
@click.option("--yes", is_flag=True, help="Do it; without it only what would be done is said.")
def command(config_file: Path | None, as_json: bool, to_block: int, yes: bool) -> None:
    """Take the log and all tables back to a block, as a reorganisation does. Needs no node.

    For what the daemon refuses by itself: a reorganisation to below a block that was accepted
    on L1. What is taken out moves to the audit tables; the next run reads on from there. Stop
    the daemon first. Exit code 1 without --yes: nothing was changed.
    """
    settings = arguments.settings(config_file)
    with databases.database_url(settings) as url:
        migrate.require(url)
        plan = event_loop.run(_reorganise(settings, url, to_block, yes))
    if as_json:
        output.print_json(plan)
    else:
        _print(plan)
    sys.exit(0 if plan.done else 1)


async def _reorganise(settings: config.Settings, url: str, to_block: int, yes: bool) -> Plan:
    async with locks.WriterLock(url), database.session(url) as connection:
        committed = await cursor.read(connection)
        if committed is None or committed.block_hash is None:
            raise errors.ConfigError("nothing is committed yet: there is nothing to take back")
        if to_block >= committed.block_number:
            raise errors.ConfigError(
                f"--to-block {to_block} is not below the committed block {committed.block_number}"
            )
        rungs = await reorgs.ladder(connection, to_block, 1)
        if not rungs:
            raise errors.ConfigError(
                f"--to-block {to_block}: no block at or below it is stored; index again into a "
                "new database"
            )
        ancestor = rungs[0]
        blocks, events = await reorgs.extent(connection, ancestor[0])
        final = await cursor.finalised(connection)
        if yes:
            engine = engines.engine(settings)
            await engine.load(connection)
            # No node was asked, so the branch that follows is told by its first block alone.
            head = types.BlockHeader(*ancestor, "0x0", 0, "", "")
            async with connection.transaction():
                await rollback.roll_back(connection, engine, committed, ancestor, head)
        return Plan(
            committed.block_number,
            ancestor[0],
            blocks,
            events,
            final is not None and ancestor[0] < final,
            yes,
        )


def _print(plan: Plan) -> None:
    did = "Took" if plan.done else "Would take"
    final = ", below a block that was accepted on L1" if plan.below_final else ""
    click.echo(
        f"{did} the tables back from block {plan.from_block:,} to block {plan.to_block:,}{final}: "
        f"{values.counted(plan.blocks, 'stored block')} and "
        f"{values.counted(plan.events, 'event')} move out of the log."
    )
    if not plan.done:
        click.echo("Nothing was changed: add --yes to do it.")
