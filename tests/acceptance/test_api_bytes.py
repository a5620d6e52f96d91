"""The same address at a block gives the same bytes: from a restored database, and from another."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from indexer.recording import playhead, server
from tests import postgres
from tests.acceptance import stage, truth
from tests.acceptance.api_client import serving
from tests.acceptance.test_api_moving import committed, following
from tests.acceptance.test_api_questions import answers

OF_A_MACHINE = ("/v1/proof", "/v1/status", "/v1/blocks")
"""What was proved and when, and which blocks without events are stored: where batches ended."""
BLOCKS = (60, 125)


def without_cursor(raw: bytes) -> bytes:
    """An answer up to its cursor, which names the samplings and rollbacks of its database."""
    return raw if json.loads(raw)["next"] is None else raw[: raw.rindex(b'"next"')]


async def told(url: str, **options: object) -> dict[str, bytes]:
    """Every route's answer at two blocks, but for those that tell of this machine, and cursors."""
    async with serving(url, **options) as api:
        return {
            f"{path} at {block}": without_cursor(raw)
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
    async with postgres.fresh_database(migrated=True) as url:
        async with server.RecordingServer(recorded.chain) as node:
            # The last block of a range is stored, and may be sampled, also where it holds no event:
            # series name it. These ranges end at blocks that the other machine names, too.
            environ = stage.environment(recorded, node.url, url, VESU_INGEST_BATCH_EVENTS="160")
            # The other machine took no sample at block 77, which was never its head.
            unsampled = environ | {"VESU_PRICES_SAMPLE_SECONDS": "0"}
            await stage.command(unsampled, "run", "--until-block", "77", "--no-serve")
            last = str(recorded.last_block)
            await stage.command(environ, "run", "--until-block", last, "--no-serve")
        await stage.command(environ, "replay", "--from-block", "30")
        same(await told(url), await told(indexed_url))


SAMPLES = (
    "SELECT count(*) FROM vesu_sampled_prices JOIN cursor ON cursor.block_number"
    " = vesu_sampled_prices.block_number AND cursor.block_hash = vesu_sampled_prices.block_hash"
)


async def sampled_at_the_end(url: str) -> int:
    ((count,),) = await postgres.fetch(url, SAMPLES)
    return int(count)


async def sampled(url: str, count: int) -> None:
    """Until the last block has its prices: they are sampled after its commit."""
    assert count > 0
    async with asyncio.timeout(60):
        while await sampled_at_the_end(url) < count:
            await asyncio.sleep(0.1)


async def test_from_a_machine_that_went_through_a_reorganisation(
    recorded: truth.Recorded, indexed_url: str
) -> None:
    """Cursors alone are a machine's own, and what it says of rollbacks of its own (`reorgs`)."""
    loaded = recorded.chain
    fork = loaded.forks[0]
    head = playhead.Playhead.at_block(loaded, fork.common, story=True)
    async with postgres.fresh_database(migrated=True) as url:
        async with server.RecordingServer(loaded, head) as node, serving(url) as api:
            # The other machine took no samples on the way: no block before the last was its head.
            async with following(recorded, node, url, VESU_PRICES_SAMPLE_SECONDS="0"):
                head.go_to(fork.last, branch=1)
                await committed(api, fork.last, fork.blocks[fork.last].hash)
            head.go_to(loaded.main.last)
            async with following(recorded, node, url):
                await committed(api, loaded.main.last, loaded.main.blocks[loaded.main.last].hash)
                assert (await api.get("/v1/pools", limit=1))["meta"]["fork"] > 0
                await sampled(url, await sampled_at_the_end(indexed_url))
        found, wanted = await told(url), await told(indexed_url)
    for answers_of in (found, wanted):
        for block in BLOCKS:
            del answers_of[f"/v1/reorgs at {block}"]
    same(found, wanted)
