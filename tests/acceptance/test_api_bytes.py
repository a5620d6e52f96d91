"""The same address at a block gives the same bytes: from a restored database, and from another."""

from __future__ import annotations

from pathlib import Path

from indexer.recording import chain, server
from tests import postgres
from tests.acceptance import stage, truth
from tests.acceptance.api_client import serving
from tests.acceptance.test_api_questions import answers

OF_A_MACHINE = ("/v1/proof", "/v1/status", "/v1/blocks")
"""What was proved and when, and which blocks without events are stored: where batches ended."""
BLOCKS = (60, 125)


async def told(url: str, **options: object) -> dict[str, bytes]:
    """Every route's answer at two blocks, but for those that tell of this machine."""
    async with serving(url, **options) as api:
        return {
            f"{path} at {block}": raw
            for block in BLOCKS
            for path, raw in (await answers(api, block)).items()
            if path not in OF_A_MACHINE
        }


def same(found: dict[str, bytes], wanted: dict[str, bytes]) -> None:
    assert len(wanted) > 70
    assert found.keys() == wanted.keys()
    for path, raw in wanted.items():
        assert found[path] == raw, path


async def test_from_a_restored_database(
    recorded: truth.Recorded, indexed_url: str, tmp_path: Path
) -> None:
    file = str(tmp_path / "vesu.dump")
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    await stage.command(environ, "backup", file)
    async with postgres.fresh_database() as url:
        await stage.command(environ | {"DATABASE_URL": url}, "restore", file)
        same(await told(url), await told(indexed_url))


async def test_from_another_machine(recorded: truth.Recorded, indexed_url: str) -> None:
    """One that read the chain in other pieces, was stopped half-way, and replayed its log."""
    async with postgres.fresh_database() as url:
        async with server.RecordingServer(chain.load(recorded.folder)) as node:
            environ = stage.environment(recorded, node.url, url, VESU_INGEST_BATCH_EVENTS="40")
            for until in ("77", str(recorded.last_block)):
                await stage.command(environ, "run", "--until-block", until, "--no-serve")
        await stage.command(environ, "replay", "--from-block", "30")
        same(await told(url), await told(indexed_url))
