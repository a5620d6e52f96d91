"""Faults of the recorded chain's server on request, its start and end, and its command."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from indexer import errors
from indexer.recording import options, playhead, server
from tests.integration import recording_stage
from tests.integration.recording_stage import (
    RECORDING,
    Client,
    Stage,
    number,
)

LATEST = "latest"
Fault = options.Fault


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with recording_stage.opened() as made:
        yield made


async def test_fault_http_status_with_headers_and_body(stage: Stage) -> None:
    busy = Fault(status=429, headers={"Retry-After": "3"}, body=b"slow down")
    client = await stage(fault=lambda method, _: busy if method.endswith("chainId") else None)
    request = {"id": 1, "method": "starknet_chainId"}
    async with client.session.post(client.url, json=[request]) as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "3"
        assert await response.text() == "slow down"
    assert await client.result("blockNumber") == 125


async def test_fault_edits_the_result_or_makes_it_an_error(stage: Stage) -> None:
    def fail(_: Any) -> Any:
        raise errors.RpcError("credits limited to 6000/sec", -32012)

    faults = {
        "starknet_blockNumber": Fault(edit=lambda height: height + 5),
        "starknet_chainId": Fault(edit=fail),
        "starknet_getBlockWithTxHashes": Fault(edit=lambda block: {**block, "new": None}),
    }
    client = await stage(fault=lambda method, _: faults.get(method))
    assert await client.result("blockNumber") == 130
    assert await client.code("chainId") == -32012
    assert "new" in await client.result("getBlockWithTxHashes", [LATEST])


async def test_fault_sees_the_params_and_may_move_the_head(stage: Stage) -> None:
    head = playhead.Playhead.at_block(RECORDING, 100)

    def advance(_method: str, params: Any) -> None:
        if params == [number(101)]:
            head.release()

    client = await stage(head, fault=advance)
    assert await client.code("getBlockWithTxHashes", [number(102)]) == 24
    block = await client.result("getBlockWithTxHashes", [number(101)])
    assert block["block_number"] == 101


async def test_fault_drops_one_answer_of_a_batch(stage: Stage) -> None:
    client = await stage(fault=lambda method, _: Fault(drop=method.endswith("chainId")))
    names = ("blockNumber", "chainId", "specVersion")
    answers = await client.post([{"id": name, "method": f"starknet_{name}"} for name in names])
    assert [answer["id"] for answer in answers] == ["blockNumber", "specVersion"]


@pytest.mark.parametrize("close_after", [0, 40])
async def test_fault_cuts_the_connection(stage: Stage, close_after: int) -> None:
    client = await stage(fault=lambda *_: Fault(close_after=close_after))
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError)):
        await client.result("getBlockWithReceipts", [number(29)])


async def test_fault_delays(stage: Stage) -> None:
    client = await stage(fault=lambda *_: Fault(delay=30))
    timeout = aiohttp.ClientTimeout(total=0.1)
    with pytest.raises(asyncio.TimeoutError):
        await client.session.post(client.url, json={"method": "starknet_chainId"}, timeout=timeout)


async def test_stopping_does_not_wait_for_a_hanging_request() -> None:
    hanging = options.ServerOptions(fault=lambda *_: Fault(delay=60))
    async with aiohttp.ClientSession() as session:
        async with server.RecordingServer(RECORDING, options=hanging) as running:
            request = asyncio.create_task(session.post(running.url, json={"method": "x"}))
            await asyncio.sleep(0.1)
            started = time.monotonic()
        assert time.monotonic() - started < 5
        with pytest.raises(aiohttp.ClientError):
            await request


async def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = server.RecordingServer(RECORDING, options=options.ServerOptions(port=port))
        with pytest.raises(errors.PortInUseError, match=f"listens on port {port} on 127.0.0.1"):
            await other.start()


def test_the_url_of_a_stopped_server_is_refused() -> None:
    with pytest.raises(errors.RecordingError, match="not running"):
        _ = server.RecordingServer(RECORDING).url


async def test_the_command_serves_until_terminated(stage: Stage) -> None:
    command = [sys.executable, "-m", "indexer.recording", "--port", "0", "--pace", "2"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    url = line.partition(" at ")[2].partition(" ")[0]
    assert await Client(stage.session, url).result("blockNumber") == 100
    process.terminate()
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [(["/nowhere"], 2, "is not a recorded chain"), (["--story"], 2, "--story needs --pace")],
)
def test_the_command_says_what_is_wrong(arguments: list[str], code: int, said: str) -> None:
    command = [sys.executable, "-m", "indexer.recording", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
