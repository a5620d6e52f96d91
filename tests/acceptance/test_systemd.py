"""What systemd hears of `run`: ready, where it is, that it gets on, and that it stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest

from indexer.daemon import systemd
from indexer.recording import options, server
from tests.acceptance import stage, truth

Message = dict[str, str]

WATCHDOG = "600000"


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._line.setblocking(False)
        self._line.bind(path)

    def close(self) -> None:
        self._line.close()

    async def hears(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message that is wanted."""
        async with asyncio.timeout(60):
            while True:
                text = (await asyncio.get_running_loop().sock_recv(self._line, 65_536)).decode()
                message = dict(line.split("=", 1) for line in text.splitlines())
                if wanted(message):
                    return message


@pytest.fixture
async def manager() -> AsyncIterator[Manager]:
    # A socket's path may have no more than a hundred characters.
    folder = tempfile.mkdtemp(prefix="vesu-")
    made = Manager(f"{folder}/notify")
    yield made
    made.close()
    shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def service(
    environ: dict[str, str], manager: Manager
) -> AsyncIterator[asyncio.subprocess.Process]:
    told = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": WATCHDOG}
    process = await stage.start(environ | told, "run", "--no-serve")
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def alive(message: Message) -> bool:
    return message.get("WATCHDOG") == "1"


async def test_a_service_s_life(
    recorded: truth.Recorded, migrated_database_url: str, manager: Manager
) -> None:
    last = recorded.last_block
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, migrated_database_url)
        async with service(environ, manager) as process:
            ready = await manager.hears(lambda message: True)
            assert ready["READY"] == "1"
            where = f"block {last} of {last}"
            await manager.hears(lambda message: alive(message) and message["STATUS"] == where)
            process.send_signal(signal.SIGTERM)
            await manager.hears(lambda message: message.get("STOPPING") == "1")
            assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_node_that_is_down_is_no_reason_to_be_killed(
    recorded: truth.Recorded, migrated_database_url: str, manager: Manager
) -> None:
    """The status says what is wrong, and the watchdog is fed: a restart would not help."""
    down = [False]

    def fault(_method: str, _params: object) -> options.Fault | None:
        return options.Fault(close_after=0) if down[0] else None

    served = options.ServerOptions(fault=fault)
    async with server.RecordingServer(recorded.chain, options=served) as node:
        environ = stage.environment(recorded, node.url, migrated_database_url)
        async with service(environ, manager):
            await manager.hears(alive)
            down[0] = True
            said = await manager.hears(lambda message: "trouble: " in message.get("STATUS", ""))
            assert "cannot be reached" in said["STATUS"]
            await manager.hears(alive)


async def test_a_hang_is_not_told_as_alive(
    recorded: truth.Recorded, migrated_database_url: str, manager: Manager
) -> None:
    """A statement that never ends: the process lives, and the watchdog goes hungry."""
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, migrated_database_url)
        async with service(environ, manager):
            await manager.hears(lambda message: str(recorded.last_block) in message["STATUS"])
            locking = await asyncpg.connect(migrated_database_url)
            held = locking.transaction()
            await held.start()
            await locking.execute("LOCK TABLE chain_head IN ACCESS EXCLUSIVE MODE")
            await manager.hears(lambda message: "STATUS" in message and not alive(message))
            await held.rollback()
            await locking.close()
            await manager.hears(alive)


# --- the variables --------------------------------------------------------------------------


def test_the_variables_are_taken_out_so_that_children_do_not_speak_for_us() -> None:
    environ = {"NOTIFY_SOCKET": "@vesu", "WATCHDOG_USEC": "2000000", "PATH": "/bin"}
    made = systemd.Notifier.from_environment(environ)
    assert environ == {"PATH": "/bin"}
    assert made.watchdog_seconds == 2.0


@pytest.mark.parametrize(
    ("micros", "pid", "seconds"),
    [
        ("2000000", str(os.getpid()), 2.0),
        ("2000000", "1", None),
        ("0", "", None),
        ("soon", "", None),
        ("", "", None),
    ],
    ids=["ours", "another's", "none", "no number", "empty"],
)
def test_a_watchdog_of_another_process_is_not_ours(
    micros: str, pid: str, seconds: float | None
) -> None:
    environ = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": micros, "WATCHDOG_PID": pid}
    assert systemd.Notifier.from_environment(environ).watchdog_seconds == seconds


def test_a_manager_that_does_not_listen_stops_nothing(tmp_path: Path) -> None:
    systemd.Notifier(str(tmp_path / "nobody"), None).tell(READY="1")
    systemd.Notifier(None, None).tell(READY="1")


async def test_an_abstract_address_is_understood() -> None:
    name = f"vesu-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind("\0" + name)
        systemd.Notifier.from_environment({"NOTIFY_SOCKET": f"@{name}"}).tell(STATUS="two\nlines")
        assert line.recv(100) == b"STATUS=two lines"
