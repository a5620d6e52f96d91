"""`run`: the daemon."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from indexer.api import startup
from indexer.commands import arguments


@click.command(
    epilog="Example: DATABASE_URL=postgresql://localhost/vesu "
    "VESU_NODE_URLS=https://NODE/rpc/v0_10 vesu-indexer run"
)
@arguments.options
@click.option("--until-block", type=arguments.BLOCK, help="Stop once it is committed.")
@click.option(
    "--serve/--no-serve",
    default=True,
    show_default=True,
    help="Answer the API, /health, /ready and /metrics while running.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port of the HTTP side (default: api.port, 8080 where that is not set).",
)
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
    settings = arguments.settings(config_file, api__port=port)
    settings.require_node()
    with contextlib.ExitStack() as lasting:
        probes = None
        if serve:
            probes = lasting.enter_context(startup.answering(settings.api.host, settings.api.port))
        # Not at the top: what a daemon is made of takes a second to import, and probes are
        # answered meanwhile.
        from indexer.commands import following

        following.run(settings, until_block, probes, as_json=as_json)
