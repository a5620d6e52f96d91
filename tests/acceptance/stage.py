"""Runs the shipped commands against recorded chains served over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from indexer.recording import chain, options, server
from tests import postgres, zygote
from tests.acceptance import truth

Edit = Callable[[Any], Any]

OURS = ("VESU_", "DB_", "DATABASE_")


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of the indexer."""
    return {key: value for key, value in os.environ.items() if not key.startswith(OURS)}


def environment(
    recorded: truth.Recorded, node_url: str, database_url: str, **more: str
) -> dict[str, str]:
    """The environment that points a command at a served recording and a database."""
    return clean_environment() | {
        "DATABASE_URL": database_url,
        "VESU_NETWORK_NAME": "custom",
        "VESU_NETWORK_CHAIN_ID": recorded.manifest["chain_id"],
        "VESU_NETWORK_START_BLOCK": "0",
        "VESU_NETWORK_CONTRACTS": msgspec.json.encode(recorded.roots).decode(),
        "VESU_NODE_URLS": node_url,
        "VESU_NODE_POLL_INTERVAL_SECONDS": "0.05",
        "VESU_NODE_MAX_REQUESTS_PER_SECOND": "10000",
        "VESU_LOG_LEVEL": "warning",
        **more,
    }


@contextlib.asynccontextmanager
async def filled(
    recorded: truth.Recorded,
    loaded: chain.Recording | None = None,
    *,
    migrated: bool = True,
    **more: str,
) -> AsyncIterator[str]:
    """The URL of a database that `vesu-indexer run` filled from a whole recording.

    `loaded` is the recording, where it is loaded already, and `more` are settings of the run.
    """
    async with postgres.fresh_database(migrated=migrated) as url:
        async with server.RecordingServer(loaded or recorded.chain) as node:
            environ = environment(recorded, node.url, url, **more)
            last = str(recorded.last_block)
            await command(environ, "run", "--until-block", last, "--no-serve")
        yield url


async def start(
    environ: dict[str, str], *arguments: str
) -> asyncio.subprocess.Process | zygote.Piped:
    """Start `vesu-indexer ARGUMENTS` and leave it running.

    In a process of its own, which is forked from one that has imported everything: most commands
    take less time than their imports.
    """
    if zygote.can_start(environ):
        return await zygote.shared.start(environ, *arguments)
    return await start_python(environ, *arguments)


async def start_python(environ: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    """The same in a new Python, which also flushes and closes its output as it ends."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "indexer",
        *arguments,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def command(
    environ: dict[str, str], *arguments: str, expect: int | None = 0, timeout: float = 120
) -> tuple[int, str, str]:
    """Run `vesu-indexer ARGUMENTS`, forked like `start`; returns (exit code, stdout, stderr)."""
    if zygote.can_start(environ):
        code, out, err = await zygote.shared.run(environ, *arguments, timeout=timeout)
    else:
        process = await start_python(environ, *arguments)
        told = await asyncio.wait_for(process.communicate(), timeout)
        assert process.returncode is not None
        code, out, err = process.returncode, *(text.decode() for text in told)
    if expect is not None:
        assert code == expect, f"{arguments} ended with {code}:\n{out}\n{err}"
    return code, out, err


async def json_of(environ: dict[str, str], *arguments: str, expect: int | None = 0) -> Any:
    """The JSON document that a command prints with --json."""
    _, out, _ = await command(environ, *arguments, "--json", expect=expect)
    return msgspec.json.decode(out)


@contextlib.asynccontextmanager
async def edited(recorded: truth.Recorded, **edits: Edit) -> AsyncIterator[str]:
    """The URL of a node some of whose answers are edited; the methods without `starknet_`."""

    def fault(method: str, _: Any) -> options.Fault | None:
        edit = edits.get(method.removeprefix("starknet_"))
        return None if edit is None else options.Fault(edit=edit)

    loaded = recorded.chain
    async with server.RecordingServer(
        loaded, options=options.ServerOptions(fault=fault)
    ) as running:
        yield running.url
