"""`demo`: from nothing to filled tables: embedded database, recorded chain, indexer."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import asyncpg
import click
import msgspec
import rich.console
import rich.live

from indexer import config, errors, values
from indexer.api import server as http
from indexer.app import databases, networks, nodes, parts
from indexer.chain import client
from indexer.commands import arguments, event_loop, output, overview
from indexer.config import sections
from indexer.daemon import ingestor, price_sampler
from indexer.query import status, tables
from indexer.recording import chain, playhead, server
from indexer.store import database, embedded, locks, migrate

LIVE_BLOCKS = 56
"""How many steps at the end of the recording happen while one watches; one is a reorganisation."""

STEP_SECONDS = 0.2
"""How long each step stays the head at least, and until it is indexed."""

SAMPLE_SECONDS = 1
"""Every block is sampled: blocks of the recording lie further apart."""

PORT = 8080


@click.command(epilog="Example: vesu-indexer demo --once")
@arguments.options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port of the HTTP side (default: 8080, or any free one where that is taken).",
)
@click.option("--once", is_flag=True, help="Index, print the tables, end.")
def command(config_file: Path | None, as_json: bool, port: int | None, once: bool) -> None:
    """Index a recorded chain into an embedded PostgreSQL and show the tables.

    Needs no configuration, no node and no database. The chain is a real one: Vesu's own
    contract classes on a local Starknet node, with a reorganisation in the middle of it.
    """
    # A log line would tear the picture; what it says of a reorganisation the title says too.
    level = None if "VESU_LOG_LEVEL" in os.environ else "error"
    settings = arguments.settings(config_file, log__level=level)
    recorded = chain.load(chain.bundled())
    directory = settings.data_folder() / "demo"
    postgres = embedded.EmbeddedPostgres(directory / "postgres")
    url = postgres.start()

    async def show() -> None:
        # The lock keeps a second demo from dropping the database under this one.
        async with locks.WriterLock(url):
            demo_url = await _fresh_database(url)
            migrate.upgrade(demo_url)
            await _Demo(settings, recorded, demo_url, port, once, as_json).run()

    try:
        event_loop.run(show())
    finally:
        postgres.stop()


async def _fresh_database(url: str) -> str:
    """A demo begins from nothing each time: an empty database of its own."""
    async with database.session(url) as connection:
        await connection.execute("DROP DATABASE IF EXISTS demo WITH (FORCE)")
        await connection.execute("CREATE DATABASE demo")
    base, _, query = url.partition("?")
    return base.rsplit("/", 1)[0] + "/demo" + (f"?{query}" if query else "")


class _Demo:
    def __init__(
        self,
        settings: config.Settings,
        recorded: chain.Recording,
        url: str,
        port: int | None,
        once: bool,
        as_json: bool,
    ) -> None:
        self._recorded = recorded
        self._url = url
        self._port = port
        self._once = once
        self._as_json = as_json
        self._settings = settings
        self._last = ingestor.Progress(0, 0, 0, 0)
        self._console = rich.console.Console()

    async def run(self) -> None:
        """Serve the recording, index it, show the tables."""
        head = self._playhead()
        async with contextlib.AsyncExitStack() as stack:
            node = await stack.enter_async_context(
                server.RecordingServer(self._recorded, head, server.ServerOptions())
            )
            settings = self._demo_settings(node.url)
            connection = await stack.enter_async_context(database.session(self._url))
            worker, sampler = await self._parts(stack, settings, connection)
            if self._once:
                await self._index(worker, sampler)
                await self._finish(connection)
                return
            playing = asyncio.create_task(_play(head, worker))
            stack.callback(playing.cancel)
            await self._watch(stack, settings, worker, sampler)

    def _playhead(self) -> playhead.Playhead:
        if self._once:
            return playhead.Playhead.everything(self._recorded)
        head = playhead.Playhead(self._recorded, story=True)
        head.release(head.steps_left - LIVE_BLOCKS)
        return head

    def _demo_settings(self, node_url: str) -> config.Settings:
        manifest = self._recorded.manifest
        factory = manifest["contracts"]["pool_factory"]
        return msgspec.structs.replace(
            self._settings,
            network=sections.Network(
                name="custom",
                chain_id=manifest["chain_id"],
                start_block=0,
                contracts=(sections.ContractEntry("pool_factory_v2", factory["address"], 0),),
            ),
            node=sections.Node(urls=(node_url,), poll_interval_seconds=0.1),
            prices=sections.Prices(sample_seconds=SAMPLE_SECONDS),
        )

    async def _parts(
        self,
        stack: contextlib.AsyncExitStack,
        settings: config.Settings,
        connection: asyncpg.Connection,
    ) -> tuple[ingestor.Ingestor, price_sampler.Sampler]:
        node: client.StarknetNode = await nodes.node(settings)
        stack.push_async_callback(node.close)
        worker = parts.ingestor(settings, node, connection, self._note)
        await worker.open(hex(networks.chain_id(settings)), networks.start_block(settings))
        session = await stack.enter_async_context(database.session(self._url))
        return worker, parts.price_sampling(settings, node, session)

    async def _index(self, worker: ingestor.Ingestor, sampler: price_sampler.Sampler) -> None:
        """Index the whole recording; prices are sampled meanwhile and at its last block."""
        over = asyncio.Event()
        sampling = asyncio.create_task(sampler.run(over))
        try:
            await worker.run(self._recorded.main.last)
        finally:
            over.set()
            await sampling
        await sampler.finish()
        await worker.revalue()

    def _note(self, progress: ingestor.Progress) -> None:
        self._last = progress

    async def _watch(
        self,
        stack: contextlib.AsyncExitStack,
        settings: config.Settings,
        worker: ingestor.Ingestor,
        sampler: price_sampler.Sampler,
    ) -> None:
        """Show the tables as they fill until the recording is over, then until stopped."""
        event_loop.stop_on_signals(worker.stopping)
        pool = await stack.enter_async_context(databases.pool(settings, self._url))
        port = await self._serve(stack, pool, settings.api.host)
        looking = await stack.enter_async_context(database.session(self._url))
        task = asyncio.create_task(self._index(worker, sampler))
        try:
            await self._show_until_done(looking, task)
        finally:
            if not task.done():
                worker.stopping.set()
            await task
        await self._finish(looking)
        if not worker.stopping.is_set():
            self._say_where(f"http://{settings.api.host}:{port}")
            await worker.stopping.wait()

    async def _serve(self, stack: contextlib.AsyncExitStack, pool: asyncpg.Pool, host: str) -> int:
        if self._port is not None:
            return await stack.enter_async_context(http.serving(pool, host, self._port))
        try:
            return await stack.enter_async_context(http.serving(pool, host, PORT))
        except errors.PortInUseError:
            return await stack.enter_async_context(http.serving(pool, host, 0))

    def _say_where(self, address: str) -> None:
        """On stdout for people; with --json on stderr, beside the one document."""
        lines = (
            "The recording is over; this goes on serving until Ctrl-C:",
            f"  curl {address}/health   (also /ready and /metrics)",
            f"  curl '{address}/v1/positions?status=active&order=health_factor&limit=3'",
            f"  curl {address}/openapi.json   (every question that can be asked)",
            f"  psql '{self._url}'",
        )
        click.echo("\n".join(lines), err=self._as_json)

    async def _show_until_done(self, looking: asyncpg.Connection, task: asyncio.Task[None]) -> None:
        if self._as_json or not self._console.is_terminal:
            await asyncio.wait([task])
            return
        with rich.live.Live(console=self._console, transient=True, auto_refresh=False) as live:
            while not task.done():
                rows = overview.rows_that_fit(self._console.height)
                live.update(await self._picture(looking, rows), refresh=True)
                await asyncio.wait([task], timeout=0.3)

    async def _finish(self, connection: asyncpg.Connection) -> None:
        if not self._as_json:
            self._console.print(await self._picture(connection, rows=12))
            return
        output.print_json(
            {
                "committed_block": self._last.block,
                "events": self._last.total_events,
                "pools": await tables.pools(connection, 100),
                "positions_at_risk": await tables.at_risk(connection, 100),
                "transactions": await tables.transactions(connection, 100),
                "liquidations": await tables.liquidations(connection, 100),
            }
        )

    async def _picture(
        self, connection: asyncpg.Connection, rows: int
    ) -> rich.console.RenderableType:
        last = self._last
        title = (
            f"Block {last.block:,} of {last.head:,} · {values.counted(last.total_events, 'event')}"
        )
        reorgs = (await status.read(connection)).reorgs
        if reorgs:
            title += (
                f" · a reorganisation of {values.counted(reorgs[0].depth, 'block')} gone through"
            )
        return await overview.render(connection, title, rows)


async def _play(head: playhead.Playhead, worker: ingestor.Ingestor) -> None:
    """Let block after block appear, none before the last one is indexed: nothing is missed."""
    while head.steps_left:
        await asyncio.sleep(STEP_SECONDS)
        if head.tip is not None and head.tip.number <= worker.position.block_number:
            head.release()
