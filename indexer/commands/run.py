"""`run`: the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import click
import structlog

from indexer import app, config, ingestor, sampling, systemd, verification
from indexer.api import server
from indexer.chain import client
from indexer.commands import common
from indexer.store import locks

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
    nothing: the next run takes up where the last commit left off. Under systemd (Type=notify)
    it tells when it is ready, where it is, and, for the watchdog, that it gets on.
    """
    service = systemd.Notifier.from_environment(os.environ)
    settings = common.settings(config_file, api__port=port)
    settings.require_node()
    app.contracts(settings)
    with app.database_url(settings) as url:
        app.migrated(url)
        common.run(daemon(settings, url, until_block, serve, as_json, service=service))


async def daemon(
    settings: config.Settings,
    url: str,
    until_block: int | None,
    serve: bool,
    as_json: bool = False,
    report: Callable[[ingestor.Progress], None] | None = None,
    service: systemd.Notifier | None = None,
) -> None:
    """Index into a migrated database until stopped or until a block is committed."""
    async with locks.WriterLock(url), app.connect(url) as connection:
        node = await app.node(settings)
        try:
            worker = ingestor.Ingestor(
                node,
                connection,
                app.engine(settings),
                settings.node.poll_interval_seconds,
                app.reading(settings),
                report or _reporter(app.start_block(settings)),
                settings.prices.sample_seconds,
                caution=app.caution(settings),
                probe_seconds=settings.node.probe_seconds,
            )
            common.stop_on_signals(worker.stopping)
            async with contextlib.AsyncExitStack() as stack:
                if serve:
                    pool = await stack.enter_async_context(app.pool(settings, url))
                    port = await stack.enter_async_context(
                        server.serving(
                            pool,
                            settings.api.host,
                            settings.api.port,
                            app.health_limits(settings),
                        )
                    )
                    log.info("serving", health=f"http://{settings.api.host}:{port}/health")
                await worker.open(hex(app.chain_id(settings)), app.start_block(settings))
                log.info("started", from_block=worker.position.block_number + 1)
                await stack.enter_async_context(_verifying(settings, url, node, worker))
                await stack.enter_async_context(_watching(settings, url, node, worker.stopping))
                service = service or systemd.Notifier(None, None)
                await stack.enter_async_context(
                    service.telling(lambda: worker.alive_at, worker.describe, worker.stopping)
                )
                await worker.run(until_block)
        finally:
            await node.close()
    stands = worker.position
    log.info("stopped", committed_block=stands.block_number)
    if as_json:
        common.print_json(
            {"committed_block": stands.block_number, "committed_hash": stands.block_hash}
        )


@contextlib.asynccontextmanager
async def _verifying(
    settings: config.Settings, url: str, node: client.StarknetNode, worker: ingestor.Ingestor
) -> AsyncIterator[None]:
    """Completeness is proved beside the worker while inside; its failure stops the worker."""

    async def prove() -> None:
        async with app.connect(url) as connection:
            await verification.Verifier(
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
    watch = sampling.Watch(
        node,
        lambda: app.connect(url),
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
    line = common.ProgressLine("indexing", first)

    def report(progress: ingestor.Progress) -> None:
        line.update(progress.block, progress.head, progress.total_events)

    return report
