"""`run` starts before its node: it waits, and goes on by itself."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import Any

import pytest

from indexer.recording import options, server
from tests import postgres
from tests.acceptance import stage, truth


async def waiting_line(running: asyncio.subprocess.Process) -> str:
    """The first line that says that the daemon waits for its node; said while it does."""
    assert running.stderr is not None
    async with asyncio.timeout(30):
        while line := (await running.stderr.readline()).decode():
            if "node_trouble" in line and "wait" in line:
                return line
    raise AssertionError("the daemon ended without saying that it waits for its node")


@pytest.mark.parametrize("status", [503, None], ids=["answers 503", "does not listen"])
async def test_a_node_that_comes_up_after_the_daemon(
    recorded: truth.Recorded,
    migrated_database_url: str,
    status: int | None,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked = itertools.count()

    def fault(_method: str, _params: Any) -> options.Fault | None:
        return options.Fault(status=status) if status and next(asked) < 8 else None

    environ = stage.environment(
        recorded,
        f"http://127.0.0.1:{port}",
        migrated_database_url,
        VESU_NODE_START_TIMEOUT_SECONDS="60",
    )
    made = options.ServerOptions(port=port, fault=fault)
    node = server.RecordingServer(recorded.chain, None, made)
    if status:
        await node.start()
    running = await stage.start(environ, "run", "--no-serve", "--until-block", "5")
    try:
        line = await waiting_line(running)
        assert f"127.0.0.1:{port}" in line
        assert running.returncode is None
        if not status:
            await node.start()
        out, err = await asyncio.wait_for(running.communicate(), 60)
        assert running.returncode == 0, (out, err)
        block = await postgres.fetch(migrated_database_url, "SELECT block_number FROM cursor")
        assert block[0]["block_number"] == 5
    finally:
        if running.returncode is None:
            running.kill()
        await node.stop()
