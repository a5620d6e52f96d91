"""Serve a recorded chain by hand: `python -m indexer.recording [FOLDER] --port 5050`."""

from __future__ import annotations

import asyncio
import pathlib
import signal

import click

from indexer import errors
from indexer.recording import chain, options, playhead, server


@click.command(
    epilog="Example: python -m indexer.recording --port 5050 --story --held-back 60 --pace 3"
)
@click.argument("folder", required=False, type=click.Path(path_type=pathlib.Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5050, show_default=True, help="Port to listen on; 0: any free.")
@click.option("--pace", type=float, default=0.0, help="Blocks per second of the last ones.")
@click.option("--held-back", default=25, show_default=True, help="How many come at the pace.")
@click.option("--story", is_flag=True, help="Play the abandoned branches too, as reorgs.")
@click.option("--finality-lag", type=int, help="Blocks this far below the head are on L1.")
@click.option("--latency", type=float, default=0.0, help="Seconds that each request takes.")
@click.option("--scan-limit", type=int, help="Blocks that one getEvents call looks at.")
@click.option("--keep-abandoned", is_flag=True, help="Abandoned blocks stay known by hash.")
def main(
    folder: pathlib.Path | None,
    host: str,
    port: int,
    pace: float,
    held_back: int,
    story: bool,
    finality_lag: int | None,
    latency: float,
    scan_limit: int | None,
    keep_abandoned: bool,
) -> None:
    """Serve the recorded chain in FOLDER (without it: the bundled one) until interrupted.

    Without --pace everything is visible at once.
    """
    settings = options.ServerOptions(
        host=host,
        port=port,
        latency=latency,
        scan_limit=scan_limit,
        keep_abandoned=keep_abandoned,
    )
    try:
        recording = chain.load(folder or chain.bundled())
        head = _playhead(recording, pace, held_back, story, finality_lag)
        asyncio.run(_serve(server.RecordingServer(recording, head, settings)))
    except errors.IndexerError as error:
        click.echo(str(error), err=True)
        raise SystemExit(error.exit_code) from error


def _playhead(
    recording: chain.Recording,
    pace: float,
    held_back: int,
    story: bool,
    finality_lag: int | None,
) -> playhead.Playhead:
    if pace > 0:
        return playhead.Playhead.paced(
            recording,
            held_back=held_back,
            blocks_per_second=pace,
            story=story,
            finality_lag=finality_lag,
        )
    if story:
        raise click.UsageError("--story needs --pace: without it the head does not move.")
    return playhead.Playhead.everything(recording, finality_lag=finality_lag)


async def _serve(recorded: server.RecordingServer) -> None:
    stopped = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopped.set)
    async with recorded:
        main = recorded.recording.main
        click.echo(
            f"Blocks {main.first} to {main.last} of {recorded.recording.folder} "
            f"at {recorded.url} (also /rpc/v0_8, /rpc/v0_9, /rpc/v0_10). Ctrl-C ends.\n"
            "A config.toml that indexes it:\n"
        )
        click.echo(_configuration(recorded))
        await stopped.wait()


KINDS = {
    "pool_factory": "pool_factory_v2",
    "singleton_v10": "singleton_v1_0",
    "extension_v0": "extension_v1_0_genesis",
    "extension_v10": "extension_v1_0",
    "singleton_v11": "singleton_v1_1",
    "extension_v11": "extension_v1_1",
}
"""What a manifest calls a contract, and the kind that the configuration names it by."""


def _configuration(recorded: server.RecordingServer) -> str:
    """The [network] and [node] tables with which `vesu-indexer run` follows the recording."""
    manifest = recorded.recording.manifest
    lines = [
        "[network]",
        'name = "custom"',
        f'chain_id = "{manifest["chain_id"]}"',
        "start_block = 0",
    ]
    for name, contract in manifest["contracts"].items():
        if name not in KINDS:
            continue
        lines += [
            "",
            "[[network.contracts]]",
            f'kind = "{KINDS[name]}"',
            f'address = "{contract["address"]}"',
            f"from_block = {contract.get('deployed_at_block', 0)}",
        ]
    return "\n".join([*lines, "", "[node]", f'urls = ["{recorded.url}"]'])


if __name__ == "__main__":
    main()
