"""`simulate`: what actions would do to a position."""

from __future__ import annotations

import decimal
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from indexer.commands import arguments, columns, output, reader
from indexer.query import markets, point_in_time, simulate
from indexer.vesu import refusals

MODES = [mode.name.lower() for mode in refusals.ShutdownMode]


def position(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that name a position, handed on as `wanted`."""

    @click.argument("pool", type=arguments.felt)
    @click.argument("collateral", type=arguments.felt)
    @click.argument("debt", type=arguments.felt)
    @click.argument("user", type=arguments.felt)
    @click.option(
        "--v-token", type=arguments.felt, help="A vToken holding instead; give 0x0 as DEBT."
    )
    @functools.wraps(command)
    def with_position(
        pool: int, collateral: int, debt: int, user: int, v_token: int | None, **given: Any
    ) -> Any:
        wanted = markets.Wanted(pool, collateral, debt, user, v_token or 0)
        return command(wanted=wanted, **given)

    return with_position


def conditions(command: Callable[..., Any]) -> Callable[..., Any]:
    """--ahead, --price-change and --shutdown-mode, handed on as `conditions`."""

    @click.option(
        "--ahead",
        type=click.IntRange(0, markets.MAX_AHEAD),
        default=0,
        metavar="SECONDS",
        help="Accrue interest for so long before.",
    )
    @click.option(
        "--price-change",
        "price_changes",
        type=price_change,
        multiple=True,
        metavar="ASSET=CHANGE",
        help="Another price before: 0x049d…=-0.2 is a fifth less. Any number of times.",
    )
    @click.option(
        "--shutdown-mode",
        type=click.Choice(MODES),
        help="V1: another shutdown mode than the one that the pool has.",
    )
    @functools.wraps(command)
    def with_conditions(
        ahead: int,
        price_changes: tuple[tuple[int, decimal.Decimal], ...],
        shutdown_mode: str | None,
        **given: Any,
    ) -> Any:
        mode = refusals.ShutdownMode[shutdown_mode.upper()] if shutdown_mode else None
        return command(conditions=markets.Conditions(ahead, dict(price_changes), mode), **given)

    return with_conditions


def price_change(text: str) -> tuple[int, decimal.Decimal]:
    """An asset and the relative change of its price."""
    asset, _, change = text.partition("=")
    return arguments.felt(asset), arguments.number(change)


def action(text: str) -> simulate.Action:
    """An action of the command line."""
    return arguments.parsed(simulate.parse, text)


@click.command(
    epilog="Example: vesu-indexer simulate 0x0451… 0x049d… 0x053c… 0x01aa… supply=1.5 borrow=max "
    "--price-change 0x049d…=-0.2"
)
@arguments.options
@position
@click.argument("actions", type=action, nargs=-1)
@arguments.point_in_time
@conditions
def command(
    config_file: Path | None,
    as_json: bool,
    wanted: markets.Wanted,
    actions: tuple[simulate.Action, ...],
    at: point_in_time.When,
    conditions: markets.Conditions,
) -> None:
    """Simulate up to ten ACTIONS on a position, which need not exist, and say what is refused.

    ACTIONS are supply=, withdraw=, borrow= and repay= with an amount in token units, raw: and raw
    units, or all or max. POOL is a pool id: in Vesu V2 the pool's address. Exit code 1: the
    contract would refuse.
    """
    found = reader.ask(
        config_file,
        lambda connection: simulate.simulate(connection, wanted, actions, at, conditions),
    )
    if as_json:
        output.print_json(found)
    else:
        _print(found)
    sys.exit(0 if found.is_allowed else 1)


SHOWN = (
    ("collateral", "collateral_amount", columns.exact),
    ("debt", "debt_amount", columns.exact),
    ("collateral USD", "collateral_value_usd", columns.usd),
    ("debt USD", "debt_value_usd", columns.usd),
    ("LTV", "ltv", columns.exact),
    ("health", "health_factor", columns.health),
    ("liquidation price", "liquidation_price", columns.exact),
    ("net APY", "net_apy", columns.exact),
)


def _print(found: simulate.Simulated) -> None:
    output.print_moment(found)
    for price in found.prices:
        click.echo(f"price of {price.asset or columns.ends(price.asset_address)}: {price.used}")
    for number, step in enumerate(found.steps, 1):
        said = f"refused: {step.refusal}" if step.refusal else columns.exact(step.amount)
        click.echo(f"{number}. {step.action} {step.asked}: {said}")
    click.echo(f"{'':<20}{'before':>30}{'after':>30}")
    for heading, name, write in SHOWN:
        before, after = (write(getattr(standing, name)) for standing in (found.before, found.after))
        click.echo(f"{heading:<20}{before:>30}{after:>30}")
