"""`run`: the daemon."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
from pathlib import Path

import click
import structlog

from indexer import app, config, urls
from indexer.commands import arguments, event_loop, output, progress
from indexer.daemon import ingestor, process, sessions, systemd
from indexer.log import cursor

log = structlog.get_logger(__name__)


@click.command(
    epilog="Example: DATABASE_URL=postgresql://localhost/vesu "
    "VESU_NODE_URLS=https://NODE/rpc/v0_10 vesu-indexer run"
)
@arguments.options
@click.option("--until-block", type=arguments.BLOCK, help="Stop once block N is committed.")
@click.option(
    "--serve/--no-serve",
    default=True,
    help="Answer the API, /health, /ready and /metrics while running.",
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

    SIGTERM and SIGINT end it after the batch in hand, which is rolled back where it takes longer
    than ten seconds, or at a second signal. Killed at any other point it loses
    nothing: the next run takes up where the last commit left off. Once started, it waits for a
    database that is lost, and goes on when it is back. Under systemd (Type=notify) it tells when
    it is ready, where it is, and, for the watchdog, that it gets on.
    """
    service = systemd.Notifier.from_environment(os.environ)
    settings = arguments.settings(config_file, api__port=port)
    settings.require_node()
    app.contracts(settings)
    with app.database_place(settings, make=True) as place:
        log.info(
            "starting",
            version=importlib.metadata.version("vesu-indexer"),
            network=settings.network.name,
            database=urls.redact(place.url),
            nodes=[urls.redact(url) for url in settings.node.urls],
        )
        reached = event_loop.run(_run(settings, place, until_block, serve, service))
    if reached is not None:
        log.info("stopped", committed_block=reached.block_number)
        if as_json:
            output.print_json(
                {"committed_block": reached.block_number, "committed_hash": reached.block_hash}
            )


async def _run(
    settings: config.Settings,
    place: app.Place,
    until_block: int | None,
    serve: bool,
    service: systemd.Notifier,
) -> cursor.Cursor | None:
    stopping, hurrying = asyncio.Event(), asyncio.Event()
    event_loop.stop_on_signals(stopping, hurrying)
    database_sessions = sessions.Sessions(place.url, stopping, place.revive, hurrying)
    line = progress.Blocks("indexing", app.start_block(settings))

    def report(at: ingestor.Progress) -> None:
        database_sessions.moved()
        line.update(at.block, at.head, at.total_events)

    parts = app.daemon_parts(settings, place.url, report, serve=serve)
    daemon = process.Daemon(parts, database_sessions, service, stopping, until_block)
    return await daemon.run()
