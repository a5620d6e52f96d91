"""What `run` does once its settings are read: the daemon, from the database to the last block."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os

import structlog

from indexer import config, urls
from indexer.api import startup
from indexer.app import databases, networks, parts
from indexer.commands import event_loop, output, progress
from indexer.daemon import ingestor, process, sessions, systemd
from indexer.log import cursor

log = structlog.get_logger(__name__)


def run(
    settings: config.Settings,
    until_block: int | None,
    probes: startup.Responder | None,
    *,
    as_json: bool,
) -> None:
    """Index until stopped, or until a block is committed; `probes` as in `parts.daemon_parts`."""
    service = systemd.Notifier.from_environment(os.environ)
    networks.contracts(settings)
    with databases.database_location(settings, make=True) as location:
        log.info(
            "starting",
            version=importlib.metadata.version("vesu-indexer"),
            network=settings.network.name,
            database=urls.redact(location.url),
            nodes=[urls.redact(url) for url in settings.node.urls],
        )
        event_loop.collect_rarely()
        reached = event_loop.run(
            _run(settings, location, until_block, probes, service), event_loop.fast()
        )
    if reached is not None:
        log.info("stopped", committed_block=reached.block_number)
        if as_json:
            output.print_json(
                {"committed_block": reached.block_number, "committed_hash": reached.block_hash}
            )


async def _run(
    settings: config.Settings,
    location: databases.DatabaseLocation,
    until_block: int | None,
    probes: startup.Responder | None,
    service: systemd.Notifier,
) -> cursor.Cursor | None:
    stopping, hurrying = asyncio.Event(), asyncio.Event()
    event_loop.stop_on_signals(stopping, hurrying)
    database_sessions = sessions.Sessions(location.url, stopping, location.revive, hurrying)
    line = progress.Blocks("indexing", networks.start_block(settings))

    def report(progress: ingestor.Progress) -> None:
        database_sessions.progressed()
        last = progress.head if until_block is None else min(until_block, progress.head)
        line.update(progress.block, max(last, progress.block), progress.total_events)

    made = parts.daemon_parts(settings, location.url, report, probes)
    daemon = process.Daemon(made, database_sessions, service, stopping, until_block)
    return await daemon.run()
