"""`run`: the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import click
import structlog

from indexer import app, config
from indexer.api import server
from indexer.chain import client
from indexer.commands import common, progress
from indexer.daemon import ingestor, prover, reconciler, sessions, systemd
from indexer.log import cursor
from indexer.store import database, migrate

log = structlog.get_logger(__name__)


@click.command(
    epilog="Example: DATABASE_URL=postgresql://localhost/vesu "
    "VESU_NODE_URLS=https://NODE/rpc/v0_10 vesu-indexer run"
)
@common.options
@click.option("--until-block", type=click.IntRange(min=0), help="Stop once block N is committed.")
@click.option(
    "--serve/--no-serve", default=True, help="Answer /health, /ready and /metrics while running."
)
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the HTTP side.")
def command(
    config_file: Path | None,
    as_json: bool,
    until_block: int | None,
    serve: bool,
    port: int | None,
) -> None:
    """Migrate if needed, catch up, follow the head until stopped.

    SIGTERM and SIGINT end it after the batch in hand. Killed at any other point it loses
    nothing: the next run takes up where the last commit left off. Once started, it waits for a
    database that is lost, and goes on when it is back. Under systemd (Type=notify) it tells when
    it is ready, where it is, and, for the watchdog, that it gets on.
    """
    service = systemd.Notifier.from_environment(os.environ)
    settings = common.settings(config_file, api__port=port)
    settings.require_node()
    app.contracts(settings)
    with app.database_place(settings) as place:
        migrate.upgrade(place.url)
        common.run(_Daemon(settings, place, until_block, serve, service).run(as_json))


class _Daemon:
    """Indexes into a migrated database until stopped or until a block is committed."""

    def __init__(
        self,
        settings: config.Settings,
        place: app.Place,
        until_block: int | None,
        serve: bool,
        service: systemd.Notifier,
    ) -> None:
        self._settings = settings
        self._url = place.url
        self._until_block = until_block
        self._serve = serve
        self._service = service
        self._is_telling = False
        self._stopping = asyncio.Event()
        self._sessions = sessions.Sessions(place.url, self._stopping, place.revive)
        self._lasting = contextlib.AsyncExitStack()
        self._node: client.StarknetNode | None = None
        self._worker: ingestor.Ingestor | None = None
        self._position: cursor.Cursor | None = None
        self._tell = _reporter(app.start_block(settings))

    async def run(self, as_json: bool) -> None:
        """Session after session; node and HTTP side last from the first to the end."""
        common.stop_on_signals(self._stopping)
        async with self._lasting:
            await self._sessions.run(self._work)
        stands = self._position
        if stands is None:
            return
        log.info("stopped", committed_block=stands.block_number)
        if as_json:
            common.print_json(
                {"committed_block": stands.block_number, "committed_hash": stands.block_hash}
            )

    async def _work(self, connection: asyncpg.Connection) -> None:
        """One session's work."""
        settings = self._settings
        node = await self._surroundings()
        worker = ingestor.Ingestor(
            node,
            connection,
            app.engine(settings),
            settings.node.poll_interval_seconds,
            app.reading(settings),
            self._report,
            settings.prices.sample_seconds,
            caution=app.caution(settings),
            probe_seconds=settings.node.probe_seconds,
            return_seconds=settings.node.return_seconds,
        )
        await worker.open(hex(app.chain_id(settings)), app.start_block(settings))
        self._sessions.begun()
        log.info("started", from_block=worker.position.block_number + 1)
        self._worker = worker
        try:
            await self._tell_systemd()
            async with (
                self._stopped_with_us(worker),
                _verifying(settings, self._url, node, worker),
                _watching(settings, self._url, node, worker.stopping),
            ):
                await worker.run(self._until_block)
        finally:
            self._worker = None
            self._position = worker.position

    @contextlib.asynccontextmanager
    async def _stopped_with_us(self, worker: ingestor.Ingestor) -> AsyncIterator[None]:
        """The daemon's end is the worker's, while inside; the worker's is not the daemon's."""
        waiting = asyncio.create_task(self._stopping.wait())
        waiting.add_done_callback(lambda _: worker.stopping.set())
        try:
            yield
        finally:
            waiting.cancel()

    def _report(self, at: ingestor.Progress) -> None:
        self._sessions.moved()
        self._tell(at)

    async def _surroundings(self) -> client.StarknetNode:
        """The probed node; the first time the HTTP side is started, too."""
        if self._node is None:
            self._node = await app.node(self._settings)
            self._lasting.push_async_callback(self._node.close)
            if self._serve:
                await self._start_serving()
        return self._node

    async def _start_serving(self) -> None:
        api = self._settings.api
        pool = await self._lasting.enter_async_context(app.pool(self._settings, self._url))
        port = await self._lasting.enter_async_context(
            server.serving(pool, api.host, api.port, app.health_limits(self._settings))
        )
        log.info("serving", health=f"http://{api.host}:{port}/health")

    async def _tell_systemd(self) -> None:
        """Once; from the first session to the end."""
        if not self._is_telling:
            self._is_telling = True
            await self._lasting.enter_async_context(
                self._service.telling(self._alive_at, self._describe, self._stopping)
            )

    def _alive_at(self) -> float:
        """Waiting for the database is no hanging."""
        return time.monotonic() if self._worker is None else self._worker.alive_at

    def _describe(self) -> str:
        return "waiting for the database" if self._worker is None else self._worker.describe()


@contextlib.asynccontextmanager
async def _verifying(
    settings: config.Settings, url: str, node: client.StarknetNode, worker: ingestor.Ingestor
) -> AsyncIterator[None]:
    """Completeness is proved beside the worker while inside; its failure stops the worker."""

    async def prove() -> None:
        async with database.session(url) as connection:
            await prover.Verifier(
                node,
                connection,
                app.known_addresses(settings),
                settings.ingest.verify_blocks_per_minute,
            ).run(worker.stopping)

    proving = asyncio.create_task(prove())
    proving.add_done_callback(lambda _: worker.stopping.set())
    try:
        yield
    finally:
        proving.cancel()
        await asyncio.wait([proving])
        # Looked at also where the worker failed too, whose error goes first.
        failure = None if proving.cancelled() else proving.exception()
    if failure is not None:
        raise failure


@contextlib.asynccontextmanager
async def _watching(
    settings: config.Settings, url: str, node: client.StarknetNode, stopping: asyncio.Event
) -> AsyncIterator[None]:
    """Check rows against the contracts beside the indexing, on connections of its own."""
    if not settings.reconcile.every_seconds:
        yield
        return
    watch = reconciler.Reconciler(
        node,
        lambda: database.session(url),
        app.extensions(settings),
        settings.reconcile.every_seconds,
        settings.reconcile.sample,
    )
    watching = asyncio.create_task(watch.run(stopping))
    # A mistake in the watch must not leave a daemon that looks watched and is not.
    watching.add_done_callback(lambda _: stopping.set())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    if not watching.cancelled():
        watching.result()


def _reporter(first: int) -> Callable[[ingestor.Progress], None]:
    line = progress.Blocks("indexing", first)

    def report(at: ingestor.Progress) -> None:
        line.update(at.block, at.head, at.total_events)

    return report
