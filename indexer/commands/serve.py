"""`serve`: the API alone, over a database that an indexer or a replica fills."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import structlog

from indexer import config
from indexer.api import application, gate, server
from indexer.app import databases, health_ages
from indexer.commands import arguments, event_loop, output

log = structlog.get_logger(__name__)


@click.command(
    epilog="Example: DATABASE_URL=postgresql://reader@replica/vesu vesu-indexer serve --port 8080"
)
@arguments.options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port to listen on (default: api.port, 8080 where that is not set).",
)
def command(config_file: Path | None, as_json: bool, port: int | None) -> None:
    """Answer the API until stopped, over a read-only connection: a streaming replica will do.

    No node is asked, and nothing is written but what POST /v1/watch begins, with a key, in
    watch.database_url. SIGTERM and SIGINT end it after the answers in hand.
    """
    settings = arguments.settings(config_file, api__port=port)
    with databases.database_location(settings) as location:
        event_loop.run(_serve(settings, location.url, as_json), event_loop.fast())


async def _serve(settings: config.Settings, url: str, as_json: bool) -> None:
    stopping = asyncio.Event()
    event_loop.stop_on_signals(stopping)
    api = settings.api
    async with (
        databases.pool(settings, url) as pool,
        server.serving(pool, api.host, api.port, options(settings, url)) as port,
    ):
        log.info("serving", api=f"http://{api.host}:{port}/v1/status")
        if as_json:
            output.print_json({"host": api.host, "port": port})
        await stopping.wait()
    log.info("stopped")


def options(settings: config.Settings, url: str) -> application.Options:
    """How the API behaves over the database at `url`."""
    api = settings.api
    return application.Options(
        health_ages.limits(settings),
        gate.Rules(api.keys, api.require_key, api.requests_per_minute, api.max_concurrency),
        api.cursor_secret or settings.network.chain_id,
        api.cors_origins,
        settings.watch.database_url or url,
    )
