"""The API beside the writer, in a process of its own: readers take none of the writer's time.

The child inherits the listening socket and one end of a pair of sockets. Over the pair it gets its
settings, says once that it serves, and asks for the writer's metrics (one byte there, a length and
the text back). The daemon keeps the listening socket open and has it answered while no child
serves; a child whose daemon died sees the pair end and exits at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import structlog

log = structlog.get_logger(__name__)

SERVES, METRICS = b"s", b"m"
"""What a child says: that it serves now, or that it wants the metrics."""

LENGTH_BYTES = 4
STOP_SECONDS = 8.0
"""How long the child may take to end by itself."""

PAUSE_SECONDS = 1.0
"""Between the end of a child and the start of the next."""


def framed(content: bytes) -> bytes:
    """The content behind its length."""
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The next framed content; IncompleteReadError where the other side has gone."""
    length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
    return await reader.readexactly(length)


class Child(msgspec.Struct, frozen=True):
    """The command and data of a child process.

    `program` gets two more arguments: the file descriptors of the listening socket and of its end
    of the pair. `settings` is what it is sent first; `exposition` makes the metrics' text.
    `stand_in` hears why nobody serves on the socket, and None once the child does.
    """

    program: Sequence[str]
    listening: socket.socket
    settings: bytes
    exposition: Callable[[], bytes]
    stand_in: Callable[[str | None], None]


@contextlib.asynccontextmanager
async def running(child: Child) -> AsyncIterator[None]:
    """Keep a child running while inside."""
    keeping = asyncio.create_task(_keep(child))
    try:
        yield
    finally:
        child.stand_in("the indexer is stopping")
        keeping.cancel()
        await asyncio.wait([keeping])


async def _keep(child: Child) -> None:
    while True:
        code = await _run_child(child)
        child.stand_in("the API's process ended and is started again")
        log.warning("api_process_ended", exit_code=code, again_in_seconds=PAUSE_SECONDS)
        await asyncio.sleep(PAUSE_SECONDS)


async def _run_child(child: Child) -> int:
    """Run one child until it exits; returns its exit code."""
    parent_end, child_end = socket.socketpair()
    parent_end.setblocking(False)  # noqa: FBT003 - its only argument
    descriptors = (child.listening.fileno(), child_end.fileno())
    try:
        # A session of its own: Ctrl-C reaches the daemon alone, which then stops the child.
        process = await asyncio.create_subprocess_exec(
            *child.program, *map(str, descriptors), pass_fds=descriptors, start_new_session=True
        )
    except BaseException:
        parent_end.close()
        raise
    finally:
        child_end.close()
    answering = asyncio.create_task(_answer(parent_end, child))
    try:
        return await process.wait()
    finally:
        await _end(process)
        answering.cancel()
        await asyncio.wait([answering])


async def _answer(parent_end: socket.socket, child: Child) -> None:
    """Send the settings, then the metrics as often as they are asked for."""
    reader, writer = await asyncio.open_connection(sock=parent_end)
    try:
        writer.write(framed(child.settings))
        while signal_byte := await reader.read(1):
            if signal_byte == SERVES:
                child.stand_in(None)
                continue
            writer.write(framed(child.exposition()))
            await writer.drain()
    except ConnectionError as error:
        log.debug("api_process_left", reason=str(error))
    finally:
        writer.close()


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        await asyncio.wait_for(child.wait(), STOP_SECONDS)
    except TimeoutError:
        child.kill()
        await child.wait()
