"""`position`: one position, exact, at a moment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from indexer.commands import arguments, output, reader
from indexer.query import point_in_time, positions


@click.command(
    epilog="Example: vesu-indexer position 0x0451… 0x049d… 0x053c… 0x01aa… --at-block 90"
)
@arguments.options
@click.argument("pool", type=arguments.felt)
@click.argument("collateral", type=arguments.felt)
@click.argument("debt", type=arguments.felt)
@click.argument("user", type=arguments.felt)
@arguments.point_in_time
@click.option("--v-token", type=arguments.felt, help="A vToken holding instead; give 0x0 as DEBT.")
def command(
    config_file: Path | None,
    as_json: bool,
    pool: int,
    collateral: int,
    debt: int,
    user: int,
    at: point_in_time.When,
    v_token: int | None,
) -> None:
    """Show one position with interest accrued to a block or time, and the block's hash.

    POOL is a pool id: in Vesu V2 the pool's address. Exit code 1: there was no such position.
    """
    found = reader.ask(
        config_file,
        lambda connection: positions.one(
            connection, pool, collateral, debt, user, v_token or 0, at
        ),
    )
    document = None if found is None else _flat(found)
    if as_json:
        output.print_json(document)
    elif document is None:
        click.echo("no such position at that block", err=True)
    else:
        for name, value in document.items():
            click.echo(f"{name:<22} {'-' if value is None else value}")
    sys.exit(1 if found is None else 0)


def _flat(found: positions.PositionAt) -> dict[str, Any]:
    """The moment and the position in one."""
    told = msgspec.structs.asdict(found)
    return told | msgspec.structs.asdict(told.pop("position"))
