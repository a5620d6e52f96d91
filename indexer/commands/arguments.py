"""Options and arguments that commands share: each value is checked once, here, with exit code 2."""

from __future__ import annotations

import datetime
import decimal
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import structlog

from indexer import config, errors, values
from indexer.commands import logs, showing

T = TypeVar("T")

log = structlog.get_logger(__name__)

ENV_FILE = "vesu-indexer.env_file"
"""Where click's context keeps what --env-file names."""


class _Block(click.types.IntParamType):
    """A block number; --help names it without the database's greatest one."""

    name = "block"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return values.block_number(str(value))
        except errors.QuestionError as error:
            self.fail(str(error), param, ctx)


BLOCK = _Block()
"""A block number that the database can hold."""


class _File(click.Path):
    """A file's name; `-` is refused where a file with a manifest beside it is meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value) == "-":
            self.fail("name a file: a manifest is kept beside it, - has none", param, ctx)
        return super().convert(value, param, ctx)


FILE = _File(dir_okay=False, path_type=Path)
"""A file of a backup."""


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command takes."""
    decorators = (
        click.option(
            "--config",
            "config_file",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Configuration file (default: ./config.toml, then the built-in defaults).",
        ),
        click.option(
            "--env-file",
            type=click.Path(dir_okay=False, path_type=Path),
            expose_value=False,
            callback=_keep_env_file,
            help="File of variables (default: .env beside the configuration file, if it is there).",
        ),
        click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
    )
    return functools.reduce(lambda wrapped, decorate: decorate(wrapped), decorators, command)


def _keep_env_file(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    context.meta[ENV_FILE] = value


def settings(config_file: Path | None, **flags: object) -> config.Settings:
    """Settings from file, environment and flags (dotted keys, `__` for the dot), logs set up."""
    flag_values = {
        key.replace("__", "."): value for key, value in flags.items() if value is not None
    }
    context = click.get_current_context(silent=True)
    env_file = None if context is None else context.meta.get(ENV_FILE)
    loaded = config.load(config_file, os.environ, flag_values, env_file)
    showing.keep_secret(config.secrets_of(loaded))
    logs.set_up(loaded.log.level, loaded.log.format)
    if ignored := config.variables_of_services(os.environ):
        log.debug("variables_of_kubernetes_services_ignored", names=ignored)
    return loaded


def listed(command: Callable[..., Any]) -> Callable[..., Any]:
    """--listed and --unlisted, handed to the command as `listed`: True, False, or None for both."""
    return click.option(
        "--listed/--unlisted",
        default=None,
        help="Only listed pools, those that sums count, or only the others (default: both).",
    )(command)


def point_in_time(command: Callable[..., Any]) -> Callable[..., Any]:
    """--at-block, --at-time and --now, handed to the command as `at`."""

    @click.option("--at-block", type=BLOCK, help="Any committed block (default: the last).")
    @click.option(
        "--at-time",
        type=time,
        metavar="ISO8601",
        help="State of the last block up to then, interest accrued to then (UTC by default).",
    )
    @click.option("--now", "is_now", is_flag=True, help="The same at the present second.")
    @functools.wraps(command)
    def with_point_in_time(
        at_block: int | None, at_time: datetime.datetime | None, is_now: bool, **options: Any
    ) -> Any:
        if (at_block is not None) + (at_time is not None) + is_now > 1:
            raise click.UsageError("--at-block, --at-time and --now exclude each other")
        if is_now:
            at_time = datetime.datetime.now(datetime.UTC)
        return command(at=at_time if at_block is None else at_block, **options)

    return with_point_in_time


max_price_age = click.option(
    "--max-price-age",
    type=click.IntRange(0),
    metavar="SECONDS",
    help="What rests on prices older than this says so (default: any age).",
)

wide = click.option("--wide", is_flag=True, help="Whole addresses (as when piped).")

limit = click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    metavar="N",
    help="At most so many rows.",
)


def block_range(command: Callable[..., Any]) -> Callable[..., Any]:
    """--from-block and --to-block, which must name a range."""

    @click.option("--from-block", type=BLOCK, help="First block.")
    @click.option("--to-block", type=BLOCK, help="Last block.")
    @functools.wraps(command)
    def with_range(from_block: int | None, to_block: int | None, **options: Any) -> Any:
        require_range(from_block, to_block)
        return command(from_block=from_block, to_block=to_block, **options)

    return with_range


def require_range(from_block: int | None, to_block: int | None) -> None:
    """UsageError where the last block is below the first."""
    if from_block is not None and to_block is not None and to_block < from_block:
        raise click.UsageError(
            f"--to-block {to_block} is below --from-block {from_block}: give a range"
        )


def yes(command: Callable[..., Any]) -> Callable[..., Any]:
    """--yes, for steps that destroy something."""
    return click.option("--yes", is_flag=True, help="Do it without asking.")(command)


def require_consent(consequence: str, *, yes: bool) -> None:
    """Ask on a terminal whether to go on; ConfigError where nobody can be asked, or says no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise errors.ConfigError(f"{consequence} Nothing was changed: add --yes to do it")
    if not click.confirm(f"{consequence} Go on?", err=True):
        raise errors.ConfigError("nothing was changed")


# --- types of click -----------------------------------------------------------------------


def felt(text: str) -> int:
    """An address or hash."""
    return parsed(values.felt, text)


def felt_or_name(text: str) -> int | str:
    """An address, or the name of a pool or the symbol of an asset, which the database resolves."""
    return felt(text) if text[:2] in ("0x", "0X") else text


def time(text: str) -> datetime.datetime:
    """A time as ISO 8601 writes it, in UTC where it has no zone."""
    return parsed(values.time, text)


def number(text: str) -> decimal.Decimal:
    """A decimal number."""
    return parsed(values.number, text)


def unsigned(text: str) -> decimal.Decimal:
    """A decimal number that is not below 0."""
    value = number(text)
    if value < 0:
        raise click.BadParameter(f"{text} is below 0")
    return value


def parsed(parse: Callable[[str], T], text: str) -> T:
    """The value, or click's error, which names the option."""
    try:
        return parse(text)
    except errors.QuestionError as error:
        raise click.BadParameter(str(error)) from error
