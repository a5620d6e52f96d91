"""What the recording server prints is a configuration that indexes it, and stands in the docs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests import postgres
from tests.acceptance import stage, truth_v1

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [None, *truth_v1.RECORDINGS])
async def test_the_printed_configuration_indexes_the_recording(
    tmp_path: Path, empty_database_url: str, name: str | None
) -> None:
    folder = () if name is None else (str(ROOT / "tests/data" / name),)
    serving = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "indexer.recording",
        *folder,
        "--port=0",
        stdout=asyncio.subprocess.PIPE,
        env=stage.clean_environment() | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert serving.stdout is not None
        printed = ""
        async with asyncio.timeout(60):
            while "urls = [" not in printed:
                printed += (await serving.stdout.readline()).decode()
        file = tmp_path / "config.toml"
        file.write_text(printed[printed.index("[network]") :])
        last = printed.partition(" to ")[2].partition(" ")[0]
        environ = stage.clean_environment() | {"DATABASE_URL": empty_database_url}
        await stage.command(
            environ, "run", "--config", str(file), "--no-serve", "--until-block", last
        )
    finally:
        serving.terminate()
        await serving.wait()
    await postgres.execute(
        empty_database_url,
        "DO $$ BEGIN ASSERT (SELECT count(*) FROM vesu_positions) > 0; END $$",
    )


def test_the_recording_server_has_a_page() -> None:
    page = (ROOT / "docs/recording.md").read_text("utf-8")
    assert "python -m indexer.recording" in page
    assert "[[network.contracts]]" in page
