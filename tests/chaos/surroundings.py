"""One run's surroundings: a database behind a proxy, a node's endpoints, the indexer's process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from indexer import errors
from indexer.recording import options, playhead, server
from tests import odd_gateway, postgres, zygote
from tests.acceptance import stage
from tests.chaos import expected, probes, proxy, schedule, strangers

LOOK = "starknet_getBlockWithTxHashes"
PATIENCE = 60.0
"""Seconds after which a process that does nothing counts as stuck."""

SILENCE_PATIENCE = 120.0
"""The same where connections were swallowed: a new session comes about within 90 s."""

ODD_PATIENCE = 180.0
"""The same behind odd gateways: each limit that is refused without a reason is found by several
halvings, each after five tries with pauses between them."""

IN_PARTS = {"VESU_INGEST_BATCH_EVENTS": "5", "VESU_INGEST_DEFER_INDEXES_FROM": "5"}
"""A first fill in many ranges, which drops its indexes on the way, as a long one does."""

STOP_SECONDS = 25.0
"""How long the end may take after SIGTERM, whatever holds the process."""

STARTED = '"event": "started"'
"""What the log says once a session has begun: from then on outages are outlived."""

INTERRUPTED = (143, -signal.SIGTERM)
"""How a process ends that is told to stop before it listens to signals."""

BLOCKED = """
    SELECT query FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = $1
        AND application_name IS DISTINCT FROM 'chaos'
    LIMIT 1
"""
TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'vesu-indexer%'
"""

Commit = tuple[int, str, int]
"""Block number, padded hash, fork counter: what a notification tells."""


class Surroundings:
    """Everything that a schedule's moves act upon."""

    def __init__(
        self,
        truth: expected.Expected,
        maker: zygote.Zygote,
        database: str,
        way: proxy.Proxy,
        observer: asyncpg.Connection,
        folder: Path,
    ) -> None:
        self.truth = truth
        self.way = way
        self.observer = observer
        self.database = database
        self.commits: list[Commit] = []
        self.held = asyncio.Event()
        self.phases: list[str] = []
        self.stood: set[tuple[int, int]] = set()
        self.is_shut = False
        self.head: playhead.Playhead
        self.gateways: list[odd_gateway.Gateway] = []
        self._urls: list[str] = []
        self._maker = maker
        self._folder = folder
        self._starts = 0
        self._process: zygote.Process | None = None
        self._hold: str | None = None
        self._faults: list[str] = []
        self._looks = 0
        self.patience = PATIENCE
        self._strangers = strangers.fault(truth.recorded)
        self._port: int | None = None
        self._more: dict[str, str] = {}
        self._probing: probes.Probing | None = None

    @contextlib.asynccontextmanager
    async def serving(self, plan: schedule.Schedule) -> AsyncIterator[None]:
        """The node's endpoints, their head at FIRST."""
        self.head = playhead.Playhead.at_block(self.truth.loaded, schedule.FIRST)
        self.patience = ODD_PATIENCE if plan.is_odd else PATIENCE
        self._more = IN_PARTS if plan.from_nothing else {}
        async with contextlib.AsyncExitStack() as stack:
            for endpoint in range(plan.endpoints):
                settings = options.ServerOptions(
                    fault=functools.partial(self._fault, endpoint),
                    keep_abandoned=plan.keep_abandoned,
                )
                node = server.RecordingServer(self.truth.loaded, self.head, settings)
                await stack.enter_async_context(node)
                if not plan.is_odd:
                    self._urls.append(node.url)
                    continue
                gateway = odd_gateway.Gateway(node.url, plan.seed)
                self.gateways.append(await stack.enter_async_context(gateway.serving()))
                self._urls.append(gateway.url)
            if plan.is_served:
                await stack.enter_async_context(self._probed())
            yield

    @contextlib.asynccontextmanager
    async def _probed(self) -> AsyncIterator[None]:
        """HTTP is served, and probes are asked, while inside."""
        self.patience = SILENCE_PATIENCE
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._probing = probes.Probing(self._port, lambda: self._process)
        asking = asyncio.create_task(self._probing.run())
        try:
            yield
        finally:
            asking.cancel()
            await asyncio.wait([asking])

    def check_probes(self) -> None:
        """AssertionError where a probe was not answered in time."""
        if self._probing is not None:
            assert not self._probing.problems, self._probing.problems
            assert self._probing.slowest.probes, "no probe was answered"

    @property
    def slowest(self) -> probes.Slowest:
        """What took longest."""
        return probes.Slowest() if self._probing is None else self._probing.slowest

    # --- the node -------------------------------------------------------------------------

    def go_to(self, number: int, branch: int = 0) -> None:
        """Put the head on a block; a chain that stays cut back to it abandons what is above."""
        self.stood.add((branch, number))
        self.head.go_to(number, branch)

    def hold(self, method: str) -> None:
        """Leave the next request of this method without an answer."""
        self.held.clear()
        self._hold = method

    def fail(self, what: str, times: int) -> None:
        """Make the next requests fail."""
        self._faults += [what] * times

    def heal(self) -> None:
        """A node without faults; limits stay."""
        self._hold = None
        self._faults.clear()
        for gateway in self.gateways:
            gateway.passing = 0

    def limit(self, what: str, number: int, seed: int) -> None:
        """Limit what the gateways pass on (0: any), and redraw how they refuse."""
        for gateway in self.gateways:
            gateway.limits = msgspec.structs.replace(gateway.limits, **{what: number or None})
            gateway.redraw(seed)

    def refuse(self, times: int, seed: int) -> None:
        """Make each gateway refuse its next requests for no reason."""
        for gateway in self.gateways:
            gateway.redraw(seed)
            gateway.passing = times

    def _fault(self, endpoint: int, method: str, params: Any) -> options.Fault | None:
        if self.is_shut and endpoint == 0:
            return options.Fault(status=403)
        self._looks += 1
        if method == self._hold:
            self.held.set()
            return options.Fault(delay=PATIENCE * 2)
        if not self._faults or method in ("starknet_specVersion", "starknet_chainId"):
            return self._strangers(method, params)
        return fault(self._faults.pop(0))

    async def asked(self, times: int) -> None:
        """Wait until the node was asked so often."""
        until = self._looks + times
        async with asyncio.timeout(self.patience):
            while self._looks < until:
                await self.running()
                await asyncio.sleep(0.01)

    # --- the process ----------------------------------------------------------------------

    async def running(self) -> zygote.Process:
        """The process; started if there is none."""
        self._check_end()
        if self._process is None or self._process.returncode is not None:
            environ = stage.environment(
                self.truth.recorded,
                ",".join(self._urls),
                self.way.url,
                VESU_NODE_POLL_INTERVAL_SECONDS="0.02",
                VESU_NODE_RETURN_SECONDS="0.02",
                VESU_LOG_LEVEL="info",
                # A run takes seconds.
                VESU_RECONCILE_EVERY_SECONDS="1",
                **self._more,
                **expected.trusted(self.truth.recorded),
            )
            self._starts += 1
            log = self._folder / f"{self._starts}.log"
            served = "--no-serve" if self._port is None else f"--port={self._port}"
            self._process = await self._maker.start(environ, log, "run", served)
        return self._process

    def _check_end(self) -> None:
        """A process ends by a signal of ours; or where it could not begin, which it says."""
        process = self._process
        if process is None or process.returncode in (None, 0, -signal.SIGKILL, *INTERRUPTED):
            return
        assert process.returncode == 3, f"ended with {process.returncode}"
        assert STARTED not in process.said(), "did not outlive an outage"

    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        while True:
            process = await self.running()
            process.send_signal(signal.SIGKILL)
            if await process.wait() == -signal.SIGKILL:
                return

    async def stop(self) -> None:
        """SIGTERM; the process ends by itself, well."""
        if self._process is None or self._process.returncode is not None:
            return
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            code = await self._process.wait()
        self.slowest.stop = max(self.slowest.stop, time.monotonic() - began)
        self._check_end()
        if STARTED in self._process.said():
            assert code == 0, f"SIGTERM: ended with {code}"

    async def end(self) -> None:
        """Whatever it is doing, it is over."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    def said(self) -> str:
        """What the processes printed, all in order."""
        logs = [self._folder / f"{number}.log" for number in range(1, self._starts + 1)]
        return "\n".join(log.read_text("utf-8", "replace") for log in logs if log.exists())

    def turns(self) -> int:
        """How often a process left one endpoint for another, or came back."""
        said = self.said()
        return sum(said.count(f'"event": "{turn}"') for turn in ("failed_over", "turned_back"))

    # --- the database ---------------------------------------------------------------------

    def on_notify(self, *about: object) -> None:
        """A commit, as the writer's notification tells it."""
        told = json.loads(str(about[-1]))
        self.commits.append((told["block_number"], told["block_hash"], told["fork_counter"]))

    async def is_settled(self, branch: int, number: int) -> bool:
        """Whether the committed block is this one, or one above it on its branch."""
        if not self.commits:
            return False
        at, hash_, _ = self.commits[-1]
        if at < number:
            return False
        own = self.truth.branch_of(at, hash_)
        return number <= schedule.COMMON or own == branch

    async def settles(self, branch: int, number: int) -> None:
        """Wait until the tables follow the head."""
        async with asyncio.timeout(self.patience):
            while not await self.is_settled(branch, number):
                await self.running()
                await asyncio.sleep(0.01)

    def trouble(self, what: str, number: int, pieces: int) -> None:
        """Have the way to the database do this after so many more pieces."""
        loop, way = asyncio.get_running_loop(), self.way

        def happen() -> None:
            if what == "delay":
                way.delay = 0.05
            elif what == "freeze":
                way.stall()
            else:
                act = {"drop": way.cut_one, "half_close": way.half_close, "forget": way.forget_one}
                act[what](number)
                return
            loop.call_later(number / 10, way.flow)

        way.after(pieces, happen)

    async def at_our_table_lock(self) -> bool:
        """Whether a statement of the indexer's waits for a table that we locked."""
        return await self.observer.fetchval(BLOCKED, "relation") is not None

    async def at_our_trigger(self) -> bool:
        """Whether one waits in a trigger; its connections may wait for each other, too."""
        return await self.observer.fetchval(BLOCKED, "advisory") is not None

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the test's own, past the proxy."""
        connection = await connect(self.database)
        try:
            yield connection
        finally:
            await connection.close()


def fault(what: str) -> options.Fault:
    """A way for one request to fail."""

    def internal(_: Any) -> Any:
        raise errors.RpcError("internal error", -32603)

    return {
        "busy": options.Fault(status=429, headers={"Retry-After": "0"}),
        "unavailable": options.Fault(status=503),
        "cut": options.Fault(close_after=0),
        "truncated": options.Fault(close_after=20),
        "garbage": options.Fault(status=200, body=b"<html>"),
        "slow": options.Fault(delay=0.2),
        "internal": options.Fault(edit=internal),
    }[what]


async def connect(url: str) -> asyncpg.Connection:
    """A connection that cannot be taken for the indexer's."""
    return await asyncpg.connect(url, server_settings={"application_name": "chaos"})


@contextlib.asynccontextmanager
async def made(
    truth: expected.Expected, maker: zygote.Zygote, plan: schedule.Schedule
) -> AsyncIterator[Surroundings]:
    """Fresh surroundings for a schedule; gone afterwards, the process too."""
    name = f"chaos_{uuid.uuid4().hex}"
    template = truth.nothing if plan.from_nothing else truth.at_first
    with tempfile.TemporaryDirectory(prefix="vesu-chaos-") as folder:
        admin = await connect(postgres.server_url())
        try:
            await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            url = postgres.with_name(postgres.server_url(), name)
            async with proxy.Proxy(url) as way:
                observer = await connect(url)
                world = Surroundings(truth, maker, url, way, observer, Path(folder))
                await observer.add_listener("vesu_blocks", world.on_notify)
                if not plan.from_nothing:
                    first = truth.block_hash(0, schedule.FIRST)
                    world.commits.append((schedule.FIRST, f"0x{int(first, 16):064x}", 0))
                async with world.serving(plan):
                    try:
                        yield world
                    finally:
                        await world.end()
                await observer.close()
        finally:
            await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await admin.close()
