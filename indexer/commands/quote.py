"""`quote`: most to borrow and withdraw, what repays all, what a supply brings, liquidations."""

from __future__ import annotations

import decimal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from indexer.commands import arguments, columns, output, reader, simulate
from indexer.query import markets, opportunities, point_in_time, quotes


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: vesu-indexer quote max-borrow 0x0451… 0x049d… 0x053c… 0x01aa…",
)
def command() -> None:
    """Quotes, as the contract's own arithmetic gives them."""


def _say(
    config_file: Path | None,
    as_json: bool,
    question: Callable[[asyncpg.Connection], Awaitable[point_in_time.Moment]],
) -> None:
    found = reader.ask(config_file, question)
    if as_json:
        output.print_json(found)
        return
    output.print_moment(found)
    for name, value in msgspec.structs.asdict(found).items():
        if name not in point_in_time.Moment.__struct_fields__ and name != "prices":
            click.echo(f"{name:<24} {'-' if value is None else value}")


@command.command(epilog="Example: vesu-indexer quote max-borrow 0x0451… 0x049d… 0x053c… 0x01aa…")
@arguments.options
@simulate.position
@arguments.point_in_time
@simulate.conditions
def max_borrow(config_file: Path | None, as_json: bool, **given: Any) -> None:
    """The most that a position may borrow on top of what it owes."""
    _say(config_file, as_json, lambda connection: quotes.max_borrow(connection, **given))


@command.command(epilog="Example: vesu-indexer quote max-withdraw 0x0451… 0x049d… 0x053c… 0x01aa…")
@arguments.options
@simulate.position
@arguments.point_in_time
@simulate.conditions
def max_withdraw(config_file: Path | None, as_json: bool, **given: Any) -> None:
    """The most collateral that may leave a position or a vToken holding."""
    _say(config_file, as_json, lambda connection: quotes.max_withdraw(connection, **given))


@command.command(
    epilog="Example: vesu-indexer quote total-repay 0x0451… 0x049d… 0x053c… 0x01aa… --margin 600"
)
@arguments.options
@simulate.position
@arguments.point_in_time
@click.option(
    "--margin",
    "margin_seconds",
    type=click.IntRange(0, markets.MAX_AHEAD),
    default=0,
    metavar="SECONDS",
    help="Interest for so long is added, for a transaction that comes later.",
)
def total_repay(config_file: Path | None, as_json: bool, **given: Any) -> None:
    """What clears a position's debt."""
    _say(config_file, as_json, lambda connection: quotes.total_repay(connection, **given))


@command.command(
    epilog="Example: vesu-indexer quote supply-estimate 0x0451… 0x049d… 0x053c… 0x01aa… 1.5"
)
@arguments.options
@simulate.position
@click.argument("amount", type=arguments.number)
@arguments.point_in_time
def supply_estimate(config_file: Path | None, as_json: bool, **given: Any) -> None:
    """The shares that a supply of AMOUNT (in token units) brings."""
    _say(config_file, as_json, lambda connection: quotes.supply_estimate(connection, **given))


COLUMNS = (
    columns.text("collateral", "collateral_asset"),
    columns.text("debt", "debt_asset"),
    columns.address("user", "user_id"),
    columns.HEALTH,
    columns.text("repay", "best"),
    columns.money("net profit USD", "net_profit_usd"),
)


@command.command(
    epilog="Example: vesu-indexer quote liquidations --gas 0.05 --slippage 0.003 "
    "--price-change 0x049d…=-0.1"
)
@arguments.options
@click.option("--pool", type=arguments.felt, help="One pool alone.")
@click.option("--gas", type=arguments.number, default="0", help="Cost of a transaction in USD.")
@click.option(
    "--slippage", type=arguments.number, default="0", help="Lost in selling: 0.01 is one percent."
)
@click.option("--capital", type=arguments.number, help="Most that one may cost, in USD.")
@click.option("--min-profit", type=arguments.number, help="Least net profit, in USD.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, help="How many at most.")
@arguments.point_in_time
@simulate.conditions
def liquidations(
    config_file: Path | None,
    as_json: bool,
    pool: int | None,
    gas: decimal.Decimal,
    slippage: decimal.Decimal,
    capital: decimal.Decimal | None,
    min_profit: decimal.Decimal | None,
    limit: int,
    at: point_in_time.When,
    conditions: markets.Conditions,
) -> None:
    """Positions that may be liquidated, and what that brings, the most profitable first."""
    terms = opportunities.Terms(gas, slippage, capital, min_profit)
    found = reader.ask(
        config_file,
        lambda connection: opportunities.find(connection, terms, at, conditions, pool, limit),
    )
    if as_json:
        output.print_json(found)
        return
    output.print_moment(found)
    output.print_table(COLUMNS, found.opportunities)
