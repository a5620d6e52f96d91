"""`position`: one position, exact, at a moment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from indexer.commands import arguments, output, reader, simulate
from indexer.query import point_in_time, positions


@click.command(
    epilog="Example: vesu-indexer position 0x0451… 0x049d… 0x053c… 0x01aa… --at-block 90"
)
@arguments.options
@click.argument("pool", type=arguments.felt_or_name)
@click.argument("collateral", type=arguments.felt_or_name)
@click.argument("debt", type=arguments.felt_or_name)
@click.argument("user", type=arguments.felt)
@arguments.point_in_time
@arguments.max_price_age
@click.option("--v-token", type=arguments.felt, help="A vToken holding instead; give 0x0 as DEBT.")
def command(
    config_file: Path | None,
    as_json: bool,
    pool: int | str,
    collateral: int | str,
    debt: int | str,
    user: int,
    at: point_in_time.When,
    max_price_age: int | None,
    v_token: int | None,
) -> None:
    """Show one position with interest accrued to a block or time, and the block's hash.

    POOL is an id (in Vesu V2 the pool's address) or a name, COLLATERAL and DEBT are addresses or
    symbols. Exit code 1: there was no such position.
    """

    async def question(connection: asyncpg.Connection) -> positions.PositionAt | None:
        named = simulate.Named(pool, collateral, debt, user, v_token or 0)
        position_ref = await named.resolved(connection)
        return await positions.one(
            connection,
            position_ref.pool,
            position_ref.collateral,
            position_ref.debt,
            position_ref.user,
            position_ref.v_token,
            at,
            max_price_age,
        )

    position_at = reader.ask(config_file, question)
    document = None if position_at is None else _flat(position_at)
    if as_json:
        output.print_json(document)
    elif position_at is None or document is None:
        click.echo("no such position at that block", err=True)
    else:
        output.print_fields(document)
        output.print_stale([position_at.position.is_price_stale], max_price_age)
    sys.exit(1 if position_at is None else 0)


def _flat(position_at: positions.PositionAt) -> dict[str, Any]:
    """The moment and the position in one."""
    fields = msgspec.structs.asdict(position_at)
    return fields | msgspec.structs.asdict(fields.pop("position"))
