"""What the commands share: settings, logs, output."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import functools
import os
import re
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from indexer import config
from indexer.cairo import felt252
from indexer.commands import logs

T = TypeVar("T")


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command takes."""
    decorators = (
        click.option(
            "--config",
            "config_file",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Configuration file (default: ./config.toml, then the built-in defaults).",
        ),
        click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
    )
    return functools.reduce(lambda wrapped, decorate: decorate(wrapped), decorators, command)


def settings(config_file: Path | None, **flags: object) -> config.Settings:
    """Settings from file, environment and flags (dotted keys, `__` for the dot), logs set up."""
    given = {key.replace("__", "."): value for key, value in flags.items() if value is not None}
    loaded = config.load(config_file, os.environ, given)
    logs.set_up(loaded.log.level, loaded.log.format)
    return loaded


def felt(text: str) -> int:
    """An address or hash of an option or argument: 0x and hex digits with any zero padding."""
    value = int(text, 16) if re.fullmatch("0[xX][0-9a-fA-F]{1,64}", text) else -1
    if not 0 <= value < felt252.PRIME:
        raise click.BadParameter(
            f"{text!r} is not a Starknet address or hash: write 0x and up to 64 hex digits"
        )
    return value


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous half; SIGTERM cancels it and ends the process with 143.

    Raised in the middle of a callback, as outside of a loop, it could be swallowed by whatever
    library runs, which then waits for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)  # signals reach the main thread alone
    before = signal.getsignal(signal.SIGTERM)
    is_terminated = False

    async def terminable() -> T:
        task = asyncio.current_task()
        assert task is not None  # asyncio.run made one

        def terminate() -> None:
            nonlocal is_terminated
            is_terminated = True
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        return await work

    try:
        return asyncio.run(terminable())
    except BaseException:
        if is_terminated:
            sys.exit(128 + signal.SIGTERM)
        raise
    finally:
        # The loop leaves the system's own handler behind, which would end us without a goodbye.
        signal.signal(signal.SIGTERM, before)


def stop_on_signals(stopping: asyncio.Event) -> None:
    """From now on SIGTERM and SIGINT set `stopping` and do nothing else."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)


def print_json(document: Any) -> None:
    """One JSON document on stdout; decimals as plain text, exactly."""
    click.echo(json_text(document))


def json_text(document: Any, indent: int = 2) -> str:
    """A document as JSON text; decimals as plain text, exactly."""
    encoded = msgspec.json.encode(_plain(_builtins(document)))
    return msgspec.json.format(encoded, indent=indent).decode()


def _builtins(document: Any) -> Any:
    return msgspec.to_builtins(
        document, builtin_types=(decimal.Decimal, datetime.datetime, uuid.UUID), enc_hook=str
    )


def _plain(value: Any) -> Any:
    """Decimals without exponents, everything else as it is."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return format(value, "f") if isinstance(value, decimal.Decimal) else value
