"""`position`: one position, exact, at a block."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from indexer import app, config
from indexer.commands import common
from indexer.query import positions
from indexer.vesu import state


@click.command(
    epilog="Example: vesu-indexer position 0x0451… 0x049d… 0x053c… 0x01aa… --at-block 90"
)
@common.options
@click.argument("pool", type=common.felt)
@click.argument("collateral", type=common.felt)
@click.argument("debt", type=common.felt)
@click.argument("user", type=common.felt)
@click.option("--at-block", type=click.IntRange(min=0), help="Any committed block.")
@click.option("--v-token", type=common.felt, help="A vToken holding instead; give 0x0 as DEBT.")
def command(
    config_file: Path | None,
    as_json: bool,
    pool: int,
    collateral: int,
    debt: int,
    user: int,
    at_block: int | None,
    v_token: int | None,
) -> None:
    """Show one position with interest accrued to a block, and that block's hash.

    Exit code 1: there was no such position.
    """
    key = state.PositionKey(state.v2_pool(pool), collateral, debt, v_token or 0, user)
    found = common.run(_read(common.settings(config_file), key, at_block))
    if as_json:
        common.print_json(found)
    elif found is None:
        click.echo("no such position at that block", err=True)
    else:
        _print(found)
    sys.exit(1 if found is None else 0)


def _print(found: positions.PositionAt) -> None:
    for name, value in msgspec.structs.asdict(found).items():
        click.echo(f"{name:<22} {'-' if value is None else value}")


async def _read(
    settings: config.Settings, key: state.PositionKey, at_block: int | None
) -> positions.PositionAt | None:
    async with app.reader(settings) as connection:
        return await positions.at_block(connection, key, at_block)
