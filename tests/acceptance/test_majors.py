"""The same chain gives the same digest in every PostgreSQL that the tests can reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.recording import server
from indexer.store import binaries, embedded
from tests.acceptance import stage, truth


@pytest.mark.parametrize("major", [16, 18])
async def test_digest_of_another_major(
    recorded: truth.Recorded, indexed_url: str, tmp_path: Path, major: int
) -> None:
    folder = next(place for place in binaries.wheel() if binaries.major(place) == major)
    postgres = embedded.EmbeddedPostgres(tmp_path, folder)
    url = postgres.start()
    try:
        async with server.RecordingServer(recorded.chain) as node:
            environ = stage.environment(recorded, node.url, url)
            until = str(recorded.last_block)
            await stage.command(environ, "run", "--until-block", until, "--no-serve")
        here = await stage.json_of(environ, "digest")
    finally:
        postgres.stop()
    assert here == await stage.json_of(environ | {"DATABASE_URL": indexed_url}, "digest")
