"""`quote`: most to borrow and withdraw, what repays all, what a supply brings, liquidations."""

from __future__ import annotations

import decimal
import functools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from indexer import values
from indexer.commands import arguments, columns, output, reader, simulate
from indexer.query import markets, names, opportunities, point_in_time, quotes


class _Quotes(click.Group):
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each with its whole sentence; click would cut it."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.commands[name].get_short_help_str(200)) for name in self.commands]
            )


@click.group(
    cls=_Quotes,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: vesu-indexer quote max-borrow 0x0451… 0x049d… 0x053c… 0x01aa…",
)
def command() -> None:
    """Quotes, as the contract's own arithmetic gives them."""


LABELS = {
    "amount_raw": "amount in raw units",
    "shares_or_nominal_debt": "shares or nominal debt",
    "is_all": "all there is",
    "limit": "limited by",
    "margin_seconds": "margin",
    "with_margin_raw": "with margin, raw units",
    "with_margin": "with margin",
    "worth_raw": "worth in raw units",
}
"""What people read in place of a field's name, where that does not say it."""

Quoted = quotes.Quote | quotes.Repayment | quotes.Supplied


def _say(
    config_file: Path | None,
    as_json: bool,
    named: simulate.Named,
    question: Callable[[asyncpg.Connection, markets.PositionRef], Awaitable[Quoted]],
    max_price_age: int | None = None,
) -> None:
    async def resolved(connection: asyncpg.Connection) -> Quoted:
        return await question(connection, await named.resolved(connection))

    found = reader.ask(config_file, resolved)
    if as_json:
        output.print_json(found)
        return
    output.print_moment(found)
    if isinstance(found, quotes.Quote):
        output.print_prices(found.prices, max_price_age)
    output.print_fields(dict(_fields(found)))


def _fields(found: Quoted) -> Iterator[tuple[str, Any]]:
    """What a quote answers beyond moment and prices, each under the name that people read."""
    yield "asset", f"{found.asset or '-'} {found.asset_address}"
    for name, value in msgspec.structs.asdict(found).items():
        if name in point_in_time.Moment.__struct_fields__ or name.startswith("asset"):
            continue
        if name == "prices":
            continue
        if name.endswith("_seconds"):
            value = values.duration(value)
        elif name in ("amount", "with_margin", "worth"):
            value = f"{columns.exact(value)} {found.asset or ''}".rstrip()
        yield LABELS.get(name, name), value


def _with_conditions(
    ask: quotes.QuoteFunction,
    conditions: simulate.Conditions,
    at: point_in_time.When,
    max_price_age: int | None,
) -> Callable[[asyncpg.Connection, markets.PositionRef], Awaitable[quotes.Quote]]:
    async def question(
        connection: asyncpg.Connection, position_ref: markets.PositionRef
    ) -> quotes.Quote:
        resolved = await conditions.resolved(connection, position_ref.pool)
        return await ask(connection, position_ref, at, resolved, max_price_age)

    return question


@command.command(epilog="Example: vesu-indexer quote max-borrow 0x0451… 0x049d… 0x053c… 0x01aa…")
@arguments.options
@simulate.position
@arguments.point_in_time
@arguments.max_price_age
@simulate.conditions
def max_borrow(
    config_file: Path | None,
    as_json: bool,
    named: simulate.Named,
    max_price_age: int | None,
    conditions: simulate.Conditions,
    at: point_in_time.When,
) -> None:
    """The most that a position may borrow on top of what it owes."""
    question = _with_conditions(quotes.max_borrow, conditions, at, max_price_age)
    _say(config_file, as_json, named, question, max_price_age)


@command.command(epilog="Example: vesu-indexer quote max-withdraw 0x0451… 0x049d… 0x053c… 0x01aa…")
@arguments.options
@simulate.position
@arguments.point_in_time
@arguments.max_price_age
@simulate.conditions
def max_withdraw(
    config_file: Path | None,
    as_json: bool,
    named: simulate.Named,
    max_price_age: int | None,
    conditions: simulate.Conditions,
    at: point_in_time.When,
) -> None:
    """The most collateral that may leave a position or a vToken holding."""
    question = _with_conditions(quotes.max_withdraw, conditions, at, max_price_age)
    _say(config_file, as_json, named, question, max_price_age)


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
    show_default=True,
    metavar="SECONDS",
    help="Interest for so long is added, for a transaction that comes later.",
)
def total_repay(
    config_file: Path | None, as_json: bool, named: simulate.Named, **options: Any
) -> None:
    """What clears a position's debt."""
    _say(config_file, as_json, named, functools.partial(quotes.total_repay, **options))


@command.command(
    epilog="Example: vesu-indexer quote supply-estimate 0x0451… 0x049d… 0x053c… 0x01aa… 1.5"
)
@arguments.options
@simulate.position
@click.argument("amount", type=arguments.number)
@arguments.point_in_time
def supply_estimate(
    config_file: Path | None, as_json: bool, named: simulate.Named, **options: Any
) -> None:
    """The shares that a supply of AMOUNT (in token units) brings."""
    _say(config_file, as_json, named, functools.partial(quotes.supply_estimate, **options))


def _oldest(prices: list[markets.Price]) -> int | None:
    """The age of the older of the prices that a liquidation rests on."""
    ages = [price.age_seconds for price in prices if price.age_seconds is not None]
    return max(ages, default=None)


COLUMNS = (
    columns.text("pool", "pool_name"),
    columns.text("collateral", "collateral_asset"),
    columns.text("debt", "debt_asset"),
    columns.address("user", "user_id"),
    columns.HEALTH,
    columns.text("repay", "best"),
    columns.money("net profit USD", "net_profit_usd"),
    columns.Column("price age", lambda row: columns.age(_oldest(row["prices"])), is_number=True),
    columns.address("pool id", "pool_id", is_wide=True),
    columns.address("collateral address", "collateral_address", is_wide=True),
    columns.address("debt address", "debt_address", is_wide=True),
)


@command.command(
    epilog="\b\nExample: vesu-indexer quote liquidations --gas 0.05 --slippage 0.003 \\\n"
    "  --price-change ETH=-0.1"
)
@arguments.options
@click.option("--pool", type=arguments.felt_or_name, help="One pool alone: id, address or name.")
@click.option(
    "--gas",
    type=arguments.unsigned,
    default="0",
    show_default=True,
    metavar="USD",
    help="Cost of a transaction.",
)
@click.option(
    "--slippage",
    type=arguments.unsigned,
    default="0",
    show_default=True,
    metavar="FRACTION",
    help="Lost in selling: 0.01 is one percent.",
)
@click.option(
    "--capital",
    type=arguments.unsigned,
    metavar="USD",
    help="Most that one may cost (default: any).",
)
@click.option(
    "--min-profit", type=arguments.number, metavar="USD", help="Least net profit (default: any)."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 500),
    default=100,
    show_default=True,
    metavar="N",
    help="How many at most.",
)
@arguments.point_in_time
@arguments.max_price_age
@arguments.wide
@simulate.conditions
def liquidations(
    config_file: Path | None,
    as_json: bool,
    pool: int | str | None,
    gas: decimal.Decimal,
    slippage: decimal.Decimal,
    capital: decimal.Decimal | None,
    min_profit: decimal.Decimal | None,
    limit: int,
    wide: bool,
    at: point_in_time.When,
    max_price_age: int | None,
    conditions: simulate.Conditions,
) -> None:
    """Positions that may be liquidated, and what that brings, the most profitable first."""
    terms = opportunities.Terms(gas, slippage, capital, min_profit)

    async def question(connection: asyncpg.Connection) -> opportunities.Opportunities:
        pool_id = None if pool is None else await names.pool(connection, pool)
        return await opportunities.find(
            connection,
            terms,
            at,
            await conditions.resolved(connection, pool_id),
            pool_id,
            limit,
            max_price_age,
        )

    found = reader.ask(config_file, question)
    if as_json:
        output.print_json(found)
        return
    output.print_moment(found, wide=wide)
    output.print_table(COLUMNS, found.opportunities, wide=wide)
    if found.refused:
        click.echo(f"below their limit, but their pools refuse liquidations now: {found.refused}")
    if found.unlisted:
        click.echo(f"in unlisted pools, shown where --pool names one: {found.unlisted}")
    for unknown in found.unknown:
        click.echo(f"Pool {unknown.pool_name or unknown.pool_id} is not judged: {unknown.reason}")
    flags = [
        any(price.is_stale for price in opportunity.prices) for opportunity in found.opportunities
    ]
    output.print_stale(flags, max_price_age)
