"""Replays of Vesu V1's recordings: equal from every tenth block, in shadow, after a kill."""

from __future__ import annotations

import json
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from indexer.recording import chain, server
from tests import postgres
from tests.acceptance import spoiled, stage

DATA = Path(__file__).parents[1] / "data"
NOWHERE = "http://127.0.0.1:1"
ROOTS = {
    "singleton_v10": "singleton_v1_0",
    "extension_v0": "extension_v1_0_genesis",
    "extension_v10": "extension_v1_0",
    "singleton_v11": "singleton_v1_1",
    "extension_v11": "extension_v1_1",
}
LAST_BLOCKS = {"devnet-v10-genesis": 50, "devnet-v10-migration": 81, "devnet-v11": 116}


class Indexed(NamedTuple):
    """A recording in a database: the environment without a node, and the daemon's digest."""

    environ: dict[str, str]
    last_block: int
    digest: dict[str, Any]


def environment(name: str, node: str, url: str) -> dict[str, str]:
    manifest = json.loads((DATA / name / "manifest.json").read_text())
    roots = [
        {"kind": kind, "address": manifest["contracts"][label]["address"], "from_block": 0}
        for label, kind in ROOTS.items()
        if label in manifest["contracts"]
    ]
    recorded: Any = types.SimpleNamespace(manifest=manifest, factory="0x1", roots=roots)
    return stage.environment(
        recorded,
        *(node, url),
        VESU_NETWORK_CONTRACTS=msgspec.json.encode(roots).decode(),
        VESU_INGEST_BATCH_EVENTS="20",
    )


@pytest.fixture(scope="module")
async def indexed() -> AsyncIterator[dict[str, Indexed]]:
    """All recordings, each in a database of its own."""
    found = {}
    async with (
        postgres.fresh_database() as one,
        postgres.fresh_database() as two,
        postgres.fresh_database() as three,
    ):
        for (name, last), url in zip(LAST_BLOCKS.items(), (one, two, three), strict=True):
            async with server.RecordingServer(chain.load(DATA / name)) as node:
                environ = environment(name, node.url, url)
                await stage.command(environ, "run", "--until-block", str(last), "--no-serve")
            environ = environment(name, NOWHERE, url)
            found[name] = Indexed(environ, last, await stage.json_of(environ, "digest"))
        yield found


@pytest.mark.parametrize(
    ("name", "from_block"),
    [(name, block) for name, last in LAST_BLOCKS.items() for block in range(0, last + 1, 10)],
)
async def test_from_every_tenth_block(
    indexed: dict[str, Indexed], name: str, from_block: int
) -> None:
    environ, last, digest = indexed[name]
    start = ("replay", "--from-block", str(from_block))
    shadow = await stage.json_of(environ, *start, "--shadow", expect=None)
    assert shadow["difference"]["is_equal"], shadow
    done = await stage.json_of(environ, *start)
    assert (done["to_block"], done["rows_changed"]) == (last, 0)
    assert await stage.json_of(environ, "digest") == digest


@pytest.mark.parametrize("name", LAST_BLOCKS)
async def test_a_killed_replay_goes_on(indexed: dict[str, Indexed], name: str) -> None:
    """Killed in the middle, gone on with, and killed inside the swap."""
    environ, last, digest = indexed[name]
    start = ("replay", "--from-block", "0")
    for where in (f"kill-after-block:{last // 2}", "kill-inside-swap"):
        await spoiled.killed(environ, where, *start)
    done = await stage.json_of(environ, *start)
    assert done["resumed_at"] == last
    assert await stage.json_of(environ, "digest") == digest
