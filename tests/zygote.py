"""Starts `vesu-indexer` quickly: a process that has imported everything forks one for each run.

Each child is a process of its own that runs the shipped command line from its `main()` on; only
the second that Python takes to import it is saved. `python -m tests.zygote` takes lines of
JSON on stdin (arguments, environ, folder, log, errors, fault) and prints {"started": pid} and
{"ended": pid, "code": n}.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from indexer import commands
from tests import hashes

ROOT = Path(__file__).parents[1]

READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "TZ")
"""How variables begin that Python and the C library read when a process starts."""


class Process:
    """A running indexer, asked as asyncio's own processes are."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    def said(self) -> str:
        """What it printed so far."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended already."""
        # It may have ended, and we may not have been told yet.
        with contextlib.suppress(ProcessLookupError):
            if not self._ended.done():
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def ended(self, code: int) -> None:
        """Note its end."""
        self._ended.set_result(code)


class Zygote:
    """The forking process, from entering to leaving the context."""

    def __init__(self) -> None:
        self._processes: dict[int, Process] = {}
        self._asked: collections.deque[tuple[Path, asyncio.Future[Process]]] = collections.deque()

    async def __aenter__(self) -> Zygote:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.zygote",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**20,
        )
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            process.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listening

    async def start(
        self,
        environ: dict[str, str],
        log: Path,
        *arguments: str,
        errors: Path | None = None,
        fault: str = "",
    ) -> Process:
        """Start `vesu-indexer ARGUMENTS` in the current folder.

        What it prints goes to `log`, and what it prints to stderr to `errors`, if that is given.
        A fault is one of tests/acceptance/spoiled.py.
        """
        asked = {
            "environ": environ,
            "folder": str(Path.cwd()),
            "log": str(log),
            "errors": str(errors or log),
            "arguments": arguments,
            "fault": fault,
        }
        assert self._process.stdin is not None
        started: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._asked.append((log, started))
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        return await started

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "ended" in told:
                self._processes.pop(told["ended"]).ended(told["code"])
                continue
            log, started = self._asked.popleft()
            process = self._processes[told["started"]] = Process(told["started"], log)
            if not started.cancelled():
                started.set_result(process)


class Piped:
    """A running indexer whose output comes through pipes."""

    def __init__(
        self, process: Process, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader
    ) -> None:
        self.pid, self.wait = process.pid, process.wait
        self.send_signal, self.terminate, self.kill = (
            process.send_signal,
            process.terminate,
            process.kill,
        )
        self.stdout, self.stderr = stdout, stderr
        self._process = process

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Wait for its end; what it printed to stdout and to stderr."""
        out, err, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), self.wait())
        return out, err


class Shared:
    """One zygote for all tests of a process, started when it is first needed.

    It lives in the event loop that all tests share, until `close`.
    """

    def __init__(self) -> None:
        self._zygote: Zygote | None = None
        self._starting = asyncio.Lock()

    async def _forking(self) -> Zygote:
        async with self._starting:
            if self._zygote is None:
                self._zygote = await Zygote().__aenter__()
        return self._zygote

    async def log_to(self, log: Path, environ: dict[str, str], *arguments: str) -> Process:
        """Start `vesu-indexer ARGUMENTS`; what it prints goes to a file."""
        return await (await self._forking()).start(environ, log, *arguments)

    async def start(self, environ: dict[str, str], *arguments: str) -> Piped:
        """Start `vesu-indexer ARGUMENTS` and leave it running."""
        zygote = await self._forking()
        with tempfile.TemporaryDirectory(prefix="vesu-said-") as folder:
            ends = Path(folder) / "stdout", Path(folder) / "stderr"
            for end in ends:
                os.mkfifo(end)
            opened = [os.open(end, os.O_RDONLY | os.O_NONBLOCK) for end in ends]
            process = await zygote.start(environ, ends[0], *arguments, errors=ends[1])
        out, err = [await _reader(end) for end in opened]
        return Piped(process, out, err)

    async def run(
        self, environ: dict[str, str], *arguments: str, timeout: float, fault: str = ""
    ) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of `vesu-indexer ARGUMENTS`; TimeoutError after seconds."""
        zygote = await self._forking()
        with tempfile.TemporaryDirectory(prefix="vesu-said-") as folder:
            said = Path(folder) / "stdout", Path(folder) / "stderr"
            process = await zygote.start(environ, said[0], *arguments, errors=said[1], fault=fault)
            try:
                code = await asyncio.wait_for(process.wait(), timeout)
            finally:
                process.kill()
            out, err = (path.read_text("utf-8") for path in said)
            return code, out, err

    async def close(self) -> None:
        """End it."""
        if self._zygote is not None:
            await self._zygote.__aexit__(None, None, None)
            self._zygote = None


async def _reader(pipe: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", 0)
    )
    return reader


shared = Shared()


def can_start(environ: dict[str, str]) -> bool:
    """Whether a fork is as good as a new process: what Python reads as it starts is as here.

    A search path that names this checkout alone finds nothing else than is found without it, and
    an empty variable says nothing.
    """
    asked, here = read_at_start(environ), read_at_start(os.environ)
    if asked.get("PYTHONPATH") == str(ROOT):
        asked.pop("PYTHONPATH")
        here.pop("PYTHONPATH", None)
    return asked == here


def read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that Python and the C library read when a process starts."""
    return {
        name: value for name, value in environ.items() if value and name.startswith(READ_AT_START)
    }


# --- the forking process itself ---------------------------------------------------------------


def _output(asked: dict[str, Any]) -> list[int]:
    """Where it prints to; the reader of a pipe waits for its end from now on."""
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return [os.open(asked[name], appending, 0o600) for name in ("log", "errors")]


def _become(asked: dict[str, Any], output: list[int]) -> None:
    """In the child: run the command line as the console script does."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(asked["environ"])
    os.chdir(asked["folder"])
    for number, target in enumerate([os.open(os.devnull, os.O_RDONLY), *output]):
        os.dup2(target, number)
        os.close(target)
    sys.stdout, sys.stderr = _writing_to(1, sys.stdout), _writing_to(2, sys.stderr)
    from indexer import cli

    if asked["fault"]:
        from tests.acceptance import spoiled

        spoiled.spoil(asked["fault"])
    sys.argv = ["vesu-indexer", *asked["arguments"]]
    code: object = None
    try:
        cli.main()
    except SystemExit as leaving:
        code = leaving.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _writing_to(output: int, like: TextIO) -> TextIO:
    """A stream like that one, which may have been made for a file: a pipe has no position."""
    return io.TextIOWrapper(
        open(output, "wb", closefd=False),
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=like.line_buffering,
    )


def _tell(**told: int) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell(ended=pid, code=os.waitstatus_to_exitcode(status))


def main() -> None:
    """Fork until stdin is closed."""
    # What the indexer imports late, here before any fork.
    for name in ("yoyo.backends.core.postgresql", "indexer.cli"):
        importlib.import_module(name)
    for module in pkgutil.iter_modules(commands.__path__, f"{commands.__name__}."):
        importlib.import_module(module.name)
    hashes.share()
    gc.freeze()
    woken, waker = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ)
    waiting.register(woken, selectors.EVENT_READ)
    unread = b""
    while True:
        for key, _ in waiting.select():
            if key.fd == woken:
                os.read(woken, 4096)
                _reap()
                continue
            piece = os.read(0, 65_536)
            if not piece:
                return
            *lines, unread = (unread + piece).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                output = _output(asked)
                hashes.take_up()
                pid = os.fork()
                if pid == 0:
                    _become(asked, output)
                for target in output:
                    os.close(target)
                _tell(started=pid)


if __name__ == "__main__":
    main()
