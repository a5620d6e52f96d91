"""`replay`: the projections made again from the log."""

from __future__ import annotations

from pathlib import Path

import click

from indexer import app, config, errors
from indexer.commands import common
from indexer.projections import replay
from indexer.store import locks


@click.command(epilog="Example: vesu-indexer replay --from-block 0")
@common.options
@click.option(
    "--from-block", type=click.IntRange(min=0), required=True, help="First block to fold again."
)
@click.option("--to-block", type=click.IntRange(min=0), help="Must be the committed block.")
@click.option("--shadow", is_flag=True, help="Not in this version.")
@click.option("--swap", is_flag=True, help="Not in this version.")
def command(
    config_file: Path | None,
    as_json: bool,
    from_block: int,
    to_block: int | None,
    shadow: bool,
    swap: bool,
) -> None:
    """Refold the raw log into all tables from a block on. Needs no node.

    One transaction: readers see the old tables until it is done, and a replay that is killed
    changes nothing. Stop the daemon first; the replay takes the writer's lock.
    """
    if shadow or swap:
        raise errors.ConfigError(
            "--shadow and --swap: this version replays in place only; leave the flag out"
        )
    settings = common.settings(config_file)
    with app.database_url(settings) as url:
        app.migrated(url)
        done = common.run(_replay(settings, url, from_block, to_block, as_json))
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
