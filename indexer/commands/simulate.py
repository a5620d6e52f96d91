"""`simulate`: what actions would do to a position."""

from __future__ import annotations

import decimal
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.commands import arguments, columns, output, reader
from indexer.query import markets, names, point_in_time, simulate
from indexer.vesu import refusals

MODES = [mode.name.lower() for mode in refusals.ShutdownMode]


class Named(msgspec.Struct, frozen=True):
    """A position as the command line names it: pool and assets by address or name."""

    pool: int | str
    collateral: int | str
    debt: int | str
    user: int
    v_token: int

    async def resolved(self, connection: asyncpg.Connection) -> markets.PositionRef:
        """The same by addresses; an error that names what is not known."""
        # By addresses alone no look-up is needed: what is not known there, the question tells.
        named = (self.collateral, self.debt)
        if isinstance(self.pool, int) and all(isinstance(asset, int) for asset in named):
            pool = self.pool
        else:
            pool = await names.pool(connection, self.pool)
        collateral = await names.asset(connection, self.collateral, pool)
        debt = await names.asset(connection, self.debt, pool)
        return markets.PositionRef(pool, collateral, debt, self.user, self.v_token)


def position(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that name a position, handed on as `named`."""

    @click.argument("pool", type=arguments.felt_or_name)
    @click.argument("collateral", type=arguments.felt_or_name)
    @click.argument("debt", type=arguments.felt_or_name)
    @click.argument("user", type=arguments.felt)
    @click.option(
        "--v-token", type=arguments.felt, help="A vToken holding instead; give 0x0 as DEBT."
    )
    @functools.wraps(command)
    def with_position(
        pool: int | str,
        collateral: int | str,
        debt: int | str,
        user: int,
        v_token: int | None,
        **options: Any,
    ) -> Any:
        return command(named=Named(pool, collateral, debt, user, v_token or 0), **options)

    return with_position


class Conditions(msgspec.Struct, frozen=True):
    """Other conditions as the command line names them: assets by address or symbol."""

    ahead_seconds: int
    price_changes: tuple[tuple[int | str, decimal.Decimal], ...]
    shutdown_mode: refusals.ShutdownMode | None

    async def resolved(
        self, connection: asyncpg.Connection, pool_id: int | None
    ) -> markets.Conditions:
        """The same by addresses; a symbol means the asset of the pool, or of any pool."""
        changes: dict[int, decimal.Decimal] = {}
        for asset, change in self.price_changes:
            address = await names.asset(connection, asset, pool_id)
            if address in changes:
                raise errors.QuestionError(
                    f"--price-change names {felt252.padded(address)} twice",
                    parameter="price_change",
                )
            changes[address] = change
        return markets.Conditions(self.ahead_seconds, changes, self.shutdown_mode)


def conditions(command: Callable[..., Any]) -> Callable[..., Any]:
    """--ahead, --price-change and --shutdown-mode, handed on as `conditions`."""

    @click.option(
        "--ahead",
        type=click.IntRange(0, markets.MAX_AHEAD),
        default=0,
        show_default=True,
        metavar="SECONDS",
        help="Accrue interest for so long before.",
    )
    @click.option(
        "--price-change",
        "price_changes",
        type=price_change,
        multiple=True,
        metavar="ASSET=CHANGE",
        help="Another price before: ETH=-0.2 is a fifth less. ASSET is an address or a symbol. "
        "Any number of times.",
    )
    @click.option(
        "--shutdown-mode",
        type=click.Choice(MODES),
        help="V1: another shutdown mode than the one that the pool has.",
    )
    @functools.wraps(command)
    def with_conditions(
        ahead: int,
        price_changes: tuple[tuple[int | str, decimal.Decimal], ...],
        shutdown_mode: str | None,
        **options: Any,
    ) -> Any:
        mode = refusals.ShutdownMode[shutdown_mode.upper()] if shutdown_mode else None
        return command(conditions=Conditions(ahead, price_changes, mode), **options)

    return with_conditions


def price_change(text: str) -> tuple[int | str, decimal.Decimal]:
    """An asset and the relative change of its price."""
    asset, _, change = text.rpartition("=")
    if not (asset and change):
        raise click.BadParameter(f"{text[:80]!r}: write ASSET=CHANGE, such as ETH=-0.2")
    return arguments.felt_or_name(asset), arguments.number(change)


def action(text: str) -> simulate.Action:
    """An action of the command line."""
    return arguments.parsed(simulate.parse, text)


@click.command(
    epilog="Example: vesu-indexer simulate 0x0451… 0x049d… 0x053c… 0x01aa… supply=1.5 borrow=max "
    "--price-change ETH=-0.2"
)
@arguments.options
@position
@click.argument("actions", type=action, nargs=-1)
@arguments.point_in_time
@arguments.max_price_age
@conditions
def command(
    config_file: Path | None,
    as_json: bool,
    named: Named,
    actions: tuple[simulate.Action, ...],
    at: point_in_time.When,
    max_price_age: int | None,
    conditions: Conditions,
) -> None:
    """Simulate up to ten ACTIONS on a position, which need not exist, and say what is refused.

    ACTIONS are supply=, withdraw=, borrow= and repay= with an amount in token units, raw: and raw
    units, or all or max. POOL is a pool id (in Vesu V2 the pool's address) or a name, COLLATERAL
    and DEBT are addresses or symbols. Exit code 1: the contract would refuse.
    """

    async def question(connection: asyncpg.Connection) -> simulate.Simulated:
        position_ref = await named.resolved(connection)
        met = await conditions.resolved(connection, position_ref.pool)
        return await simulate.simulate(connection, position_ref, actions, at, met, max_price_age)

    found = reader.ask(config_file, question)
    if as_json:
        output.print_json(found)
    else:
        _print(found, max_price_age)
    sys.exit(0 if found.is_allowed else 1)


def _percent(value: str | None) -> str:
    return columns.ratio(None if value is None else decimal.Decimal(value))


SHOWN = (
    ("collateral", "collateral_amount", columns.exact),
    ("debt", "debt_amount", columns.exact),
    ("collateral USD", "collateral_value_usd", columns.usd),
    ("debt USD", "debt_value_usd", columns.usd),
    ("LTV", "ltv", _percent),
    ("health", "health_factor", columns.health),
    ("liquidation price USD", "liquidation_price", columns.exact),
    ("net APY", "net_apy", _percent),
)


def _print(found: simulate.Simulated, max_price_age: int | None) -> None:
    output.print_moment(found)
    output.print_prices(found.prices, max_price_age)
    symbols = {price.asset_address: price.asset for price in found.prices}
    for number, step in enumerate(found.steps, 1):
        asset = symbols.get(step.asset_address) or columns.ends(step.asset_address)
        amount_text = f"{columns.exact(step.amount)} {asset}"
        result = f"refused: {step.refusal}" if step.refusal else amount_text
        click.echo(f"{number}. {step.action} {_shown_amount(step, asset)}: {result}")
    click.echo(f"{'':<22}{'before':>28}{'after':>28}")
    for heading, name, write in SHOWN:
        before, after = (write(getattr(standing, name)) for standing in (found.before, found.after))
        click.echo(f"{heading:<22}{before:>28}{after:>28}")


def _shown_amount(step: simulate.Step, asset: str) -> str:
    """What the action asked for: all, max, or an amount in token units."""
    if not step.asked.isdecimal():
        return step.asked
    decimals = len(step.amount.partition(".")[2])
    asked_amount = decimal.Decimal(step.asked).scaleb(-decimals, point_in_time.EXACT)
    return f"{columns.exact(asked_amount)} {asset}"
