"""The parts of the daemon as the settings describe them, connected."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import time
from collections.abc import AsyncIterator, Callable

import asyncpg

from indexer import config, metrics
from indexer.api import startup
from indexer.app import api_settings, engines, listed, networks, nodes, sampling
from indexer.chain import client, ranges
from indexer.daemon import (
    api_process,
    class_watcher,
    price_sampler,
    process,
    prover,
    reconciler,
    reorg_detector,
    watcher,
)
from indexer.daemon import ingestor as ingestors
from indexer.store import database


def ingestor(
    settings: config.Settings,
    node: client.StarknetNode,
    connection: asyncpg.Connection,
    report: Callable[[ingestors.Progress], None] = lambda _: None,
    url: str | None = None,
) -> ingestors.Ingestor:
    """The ingestor as the settings describe it; `url`: where it may open a second connection."""
    followed = ingestor_settings(settings)
    open_second = None if url is None else functools.partial(database.session, url)
    return ingestors.Ingestor(
        node,
        connection,
        engines.engine(settings),
        followed,
        networks.watched_contracts(settings),
        report,
        open_second,
    )


def ingestor_settings(settings: config.Settings) -> ingestors.IngestorSettings:
    """How the chain is followed, as the settings say."""
    return ingestors.IngestorSettings(
        poll_seconds=settings.node.poll_interval_seconds,
        reading=_reading(settings),
        caution=reorg_detector.Caution(
            settings.node.confirm_rollback_depth, settings.node.confirm_looks
        ),
        probe_seconds=settings.node.probe_seconds,
        return_seconds=settings.node.return_seconds,
        defer_indexes_from=settings.ingest.defer_indexes_from,
    )


def daemon_parts(
    settings: config.Settings,
    url: str,
    report: Callable[[ingestors.Progress], None],
    probes: startup.Responder | None,
) -> process.Parts:
    """The daemon's parts as the settings describe them, on the database at `url`.

    `probes`: the socket to serve HTTP on, and who answers there until then; None: no HTTP.
    """
    helpers: list[process.Helper] = [
        _prover(settings, url),
        _helper(url, lambda node, connection: _new_watcher(settings, node, connection)),
        _helper(url, class_watcher.ClassWatcher),
        sampling.helper(settings, networks.extensions(settings), url),
    ]
    if settings.reconcile.every_seconds:
        helpers.append(_reconciler(settings, url))
    return process.Parts(
        chain_id=hex(networks.chain_id(settings)),
        start_block=networks.start_block(settings),
        node=lambda: nodes.node(settings, settings.node.start_timeout_seconds),
        ingestor=lambda node, connection: ingestor(settings, node, connection, report, url),
        contracts=networks.watched_contracts(settings),
        listed=listed.pools(settings),
        helpers=tuple(helpers),
        finish=lambda node: _finish(settings, url, node),
        serving=None if probes is None else lambda: _serving(settings, url, probes),
    )


def _prover(settings: config.Settings, url: str) -> process.Helper:
    """Proves completeness concurrently with the ingestor, on a connection of its own."""

    async def prove(node: client.StarknetNode, stopping: asyncio.Event) -> None:
        async with database.session(url) as connection:
            await prover.Prover(
                node,
                connection,
                networks.known_addresses(settings),
                prover.ProverSettings(
                    settings.ingest.verify_blocks_per_minute,
                    settings.ingest.verify_sample_rate,
                    settings.ingest.verify_seed,
                ),
            ).run(stopping)

    return prove


def _helper(
    url: str,
    make: Callable[
        [client.StarknetNode, asyncpg.Connection], watcher.Watcher | class_watcher.ClassWatcher
    ],
) -> process.Helper:
    """Runs concurrently with the ingestor, on a connection of its own."""

    async def follow(node: client.StarknetNode, stopping: asyncio.Event) -> None:
        async with database.session(url) as connection:
            await make(node, connection).run(stopping)

    return follow


def price_sampling(
    settings: config.Settings, node: client.StarknetNode, connection: asyncpg.Connection
) -> price_sampler.Sampler:
    """The sampler as the settings describe it."""
    return sampling.sampler(settings, networks.extensions(settings), node, connection)


async def _finish(settings: config.Settings, url: str, node: client.StarknetNode) -> None:
    """Settle the watched transactions and sample the newest prices, once at the last block."""
    async with database.session(url) as connection:
        await _new_watcher(settings, node, connection).finish()
        await price_sampling(settings, node, connection).finish()


def _new_watcher(
    settings: config.Settings, node: client.StarknetNode, connection: asyncpg.Connection
) -> watcher.Watcher:
    return watcher.Watcher(
        node,
        connection,
        settings.node.poll_interval_seconds,
        settings.watch.drop_after_seconds,
    )


def _reconciler(settings: config.Settings, url: str) -> process.Helper:
    """Compares rows with the contracts, concurrently with the ingestor, on its own connections."""
    began = time.monotonic()

    async def compare(node: client.StarknetNode, stopping: asyncio.Event) -> None:
        await reconciler.Reconciler(
            node,
            lambda: database.session(url),
            networks.extensions(settings),
            settings.reconcile.every_seconds,
            settings.reconcile.sample,
            began,
        ).run(stopping)

    return compare


@contextlib.asynccontextmanager
async def _serving(
    settings: config.Settings, url: str, probes: startup.Responder
) -> AsyncIterator[str]:
    """Serve HTTP in a process of its own while inside; yields the URL of the health check."""
    child = api_process.Child(
        (sys.executable, "-m", "indexer.commands.api_worker"),
        probes.listening,
        api_settings.ApiSettings(settings, url).text,
        metrics.exposition,
        probes.answer,
    )
    async with api_process.running(child):
        yield f"http://{settings.api.host}:{probes.listening.getsockname()[1]}/health"


def _reading(settings: config.Settings) -> ranges.ReaderSettings:
    """How the chain is read: which blocks are proved, and how many are read at once."""
    return ranges.ReaderSettings(
        verify=settings.ingest.verify,
        sample_rate=settings.ingest.verify_sample_rate,
        sample_seed=settings.ingest.verify_seed,
        target_events=settings.ingest.batch_events,
        near_blocks=settings.ingest.verify_near_blocks,
    )
