"""Builds the parts of the indexer from its settings and connects them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import msgspec
import structlog

from indexer import config, errors, metrics, urls
from indexer.api import startup
from indexer.app import abi_folder, listed, sampling, singletons
from indexer.chain import client, ranges
from indexer.config import values
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
from indexer.log import watch_list
from indexer.projections import engine as engines
from indexer.store import database, embedded
from indexer.vesu import deployments, discovery, kinds, views

log = structlog.get_logger(__name__)


class DatabaseLocation(msgspec.Struct, frozen=True):
    """The database's URL; `revive` restarts an embedded server that died."""

    url: str
    revive: Callable[[], None] = lambda: None


@contextlib.contextmanager
def database_location(
    settings: config.Settings, *, make: bool = False
) -> Iterator[DatabaseLocation]:
    """The configured database; with none configured, an embedded server's while inside.

    Says which database is meant where that is not obvious. ConfigError: none is configured, there
    is no embedded one yet, and it is not to be made (`make`).
    """
    if settings.database.url:
        if settings.database_note:
            url = urls.redact(settings.database.url)
            log.info("using_database", url=url, source=settings.database_note)
        yield DatabaseLocation(settings.database.url)
        return
    server = embedded.EmbeddedPostgres(settings.data_folder() / "postgres")
    if server.is_made:
        log.info("using_embedded_database", folder=str(server.folder))
    elif make:
        log.info("making_embedded_database", folder=str(server.folder), size="about 50 MB")
    else:
        raise errors.ConfigError(
            f"no database is configured, and there is no embedded one in {server.folder}: set "
            "database.url or DATABASE_URL, or make an embedded one with `vesu-indexer migrate`"
        )
    url = values.with_schema(server.start(), settings.database.schema)
    try:
        yield DatabaseLocation(url, server.revive)
    finally:
        server.stop()


@contextlib.contextmanager
def database_url(settings: config.Settings, *, make: bool = False) -> Iterator[str]:
    """The URL of the database, as `database_location` finds it."""
    with database_location(settings, make=make) as location:
        yield location.url


@contextlib.asynccontextmanager
async def pool(
    settings: config.Settings, url: str, *, at_once: bool = True
) -> AsyncIterator[asyncpg.Pool]:
    """The pool of the HTTP side; sized by database.pool_min and pool_max.

    `at_once`: connect now, and fail where the database does not answer; else when first asked.
    """
    made = await database.connect_pool(
        database.DatabaseSettings(
            url,
            pool_min=settings.database.pool_min if at_once else 0,
            pool_max=settings.database.pool_max,
            acquire_timeout=settings.database.acquire_ms / 1000,
            idle_timeout=settings.database.idle_ms / 1000,
            statement_timeout=settings.api.statement_seconds,
        )
    )
    try:
        yield made
    finally:
        made.terminate()


@contextlib.asynccontextmanager
async def reader(settings: config.Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to read a database that is migrated already; says so where it is not."""
    with database_url(settings) as url:
        async with reading_connection(url) as connection:
            yield connection


@contextlib.asynccontextmanager
async def reading_connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    """The same where the URL is known already."""
    async with database.session(url) as connection:
        if await connection.fetchval("SELECT to_regclass('cursor')") is None:
            raise errors.SchemaError(
                "the database has no tables of the indexer yet: run `vesu-indexer migrate`"
            )
        yield connection


def contracts(settings: config.Settings) -> list[deployments.Contract]:
    """The contracts that discovery starts from: configured ones, or the network's deployments."""
    if settings.network.name == "custom":
        entries = [
            deployments.Contract(kinds.Kind(entry.kind), int(entry.address, 16), entry.from_block)
            for entry in settings.network.contracts
        ]
        singletons.check(entries)
        return entries
    return list(
        deployments.mainnet() if settings.network.name == "mainnet" else deployments.sepolia()
    )


def watched_contracts(settings: config.Settings) -> tuple[watch_list.Contract, ...]:
    """The configured contracts as the database remembers them."""
    return tuple(
        watch_list.Contract(entry.address, entry.kind.value, entry.from_block)
        for entry in contracts(settings)
    )


def known_addresses(settings: config.Settings) -> list[int]:
    """Addresses of the contracts that are watched before any event names one."""
    return [entry.address for entry in contracts(settings)]


def start_block(settings: config.Settings) -> int:
    """The first block to read."""
    if settings.network.start_block is not None:
        return settings.network.start_block
    return min(entry.from_block for entry in contracts(settings))


def engine(settings: config.Settings) -> engines.Engine:
    """An engine that knows the configured contracts."""
    return engines.Engine(
        ((entry.address, discovery.Known(entry.kind)) for entry in contracts(settings)),
        abi_folder.read(settings),
        settings.valuation.max_age_seconds,
        abi_folder.digest(settings),
    )


def extensions(settings: config.Settings) -> views.Extensions:
    """The configured extensions of Vesu V1, by address."""
    return {
        entry.address: entry.kind for entry in contracts(settings) if entry.kind in kinds.EXTENSIONS
    }


async def node(
    settings: config.Settings, start_timeout_seconds: float = 0.0
) -> client.StarknetNode:
    """A probed connection to the configured node; waits a while for one that is not up yet."""
    settings.require_node()
    return await client.connect(
        settings.node.urls,
        chain_id(settings),
        client.NodeSettings(
            request_timeout_seconds=settings.node.request_timeout_seconds,
            max_concurrency=settings.node.max_concurrency,
            max_requests_per_second=settings.node.max_requests_per_second,
        ),
        start_timeout_seconds,
    )


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
        engine(settings),
        followed,
        watched_contracts(settings),
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
        sampling.helper(settings, extensions(settings), url),
    ]
    if settings.reconcile.every_seconds:
        helpers.append(_reconciler(settings, url))
    return process.Parts(
        chain_id=hex(chain_id(settings)),
        start_block=start_block(settings),
        node=lambda: node(settings, settings.node.start_timeout_seconds),
        ingestor=lambda node, connection: ingestor(settings, node, connection, report, url),
        contracts=watched_contracts(settings),
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
                known_addresses(settings),
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
    return sampling.sampler(settings, extensions(settings), node, connection)


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
            extensions(settings),
            settings.reconcile.every_seconds,
            settings.reconcile.sample,
            began,
        ).run(stopping)

    return compare


class ApiSettings(msgspec.Struct, frozen=True):
    """The settings of the process that serves the API."""

    settings: config.Settings
    url: str

    @property
    def text(self) -> bytes:
        """The settings as JSON, with passwords: only the API's process may read it."""
        return msgspec.json.encode(self, enc_hook=str)

    @classmethod
    def read(cls, text: bytes) -> ApiSettings:
        """Parse that text."""
        return msgspec.json.decode(text, type=cls, dec_hook=lambda hint, value: hint(value))


@contextlib.asynccontextmanager
async def _serving(
    settings: config.Settings, url: str, probes: startup.Responder
) -> AsyncIterator[str]:
    """Serve HTTP in a process of its own while inside; yields the URL of the health check."""
    child = api_process.Child(
        (sys.executable, "-m", "indexer.commands.api_worker"),
        probes.listening,
        ApiSettings(settings, url).text,
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


def chain_id(settings: config.Settings) -> int:
    """The configured chain id as the felt that a node answers with."""
    return int(settings.network.chain_id, 16)
