"""Reading a recorded chain from its folder, and what is said when it is broken."""

from __future__ import annotations

import gzip
import pathlib
import shutil

import pytest

from indexer import errors
from indexer.recording import chain


@pytest.fixture(scope="module")
def recording() -> chain.Recording:
    return chain.load(chain.bundled())


@pytest.fixture
def copy(tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the bundled recording, to be damaged."""
    return shutil.copytree(chain.bundled(), tmp_path / "copy")


def test_main_chain_is_whole(recording: chain.Recording) -> None:
    assert (recording.main.first, recording.main.last) == (0, 125)
    assert sum(len(block.events) for block in recording.main.blocks.values()) == 1955
    assert recording.chain_id == "0x534e5f5345504f4c4941"
    assert recording.spec_version == "0.10.2"


def test_fork_stands_on_its_common_block(recording: chain.Recording) -> None:
    (fork,) = recording.forks
    assert (fork.index, fork.common, fork.first, fork.last) == (1, 84, 85, 91)
    assert fork.blocks[85].parent_hash == recording.main.blocks[84].hash
    assert fork.blocks[85].hash != recording.main.blocks[85].hash


def test_events_are_in_chain_order(recording: chain.Recording) -> None:
    for block in recording.main.blocks.values():
        places = [(event.transaction_index, event.event_index) for event in block.events]
        assert places == sorted(set(places))


def test_calls_are_read_when_asked_for() -> None:
    recording = chain.load(chain.bundled())
    assert "calls" not in vars(recording.main)
    assert len(recording.main.calls) == 44_988
    assert "calls" in vars(recording.main)


def test_block_by_hash_finds_every_branch(recording: chain.Recording) -> None:
    abandoned = recording.forks[0].blocks[91]
    assert recording.block_by_hash(abandoned.hash) is abandoned
    assert recording.block_by_hash("0x1") is None


@pytest.mark.parametrize("name", ["devnet-v11", "devnet-v10-migration", "devnet-v10-genesis"])
def test_the_tests_own_recordings_load(name: str) -> None:
    recording = chain.load(pathlib.Path(__file__).parent.parent / "data" / name)
    assert recording.main.last == recording.manifest["last_block"]
    assert len(recording.main.state_updates) == len(recording.main.blocks)


def test_missing_folder_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.RecordingError, match=r"nowhere is not a recorded chain"):
        chain.load(tmp_path / "nowhere")


def test_damaged_file_is_named(copy: pathlib.Path) -> None:
    path = copy / "calls.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(
        errors.RecordingError, match=r"calls\.jsonl\.gz differs from its SHA256SUMS"
    ):
        chain.load(copy)


def test_missing_file_is_named(copy: pathlib.Path) -> None:
    (copy / "events.jsonl.gz").unlink()
    with pytest.raises(errors.RecordingError, match=r"lacks .*events\.jsonl\.gz"):
        chain.load(copy)


def test_broken_gzip_is_named(copy: pathlib.Path) -> None:
    (copy / "SHA256SUMS").unlink()
    path = copy / "blocks.jsonl.gz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(errors.RecordingError, match=r"blocks\.jsonl\.gz is not a complete gzip"):
        chain.load(copy)


def test_broken_json_is_named(copy: pathlib.Path) -> None:
    (copy / "SHA256SUMS").unlink()
    (copy / "calls.jsonl.gz").write_bytes(gzip.compress(b'{"block_number":1}\n{"oops'))
    recording = chain.load(copy)
    with pytest.raises(errors.RecordingError, match=r"calls\.jsonl\.gz does not hold the JSON"):
        _ = recording.main.calls


def test_missing_block_is_named(copy: pathlib.Path) -> None:
    (copy / "SHA256SUMS").unlink()
    path = copy / "blocks.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[:40] + lines[41:])))
    with pytest.raises(errors.RecordingError, match=r"block 40 is missing"):
        chain.load(copy)


def test_recording_without_chain_id(copy: pathlib.Path) -> None:
    (copy / "SHA256SUMS").unlink()
    (copy / "manifest.json").write_text("{}")
    with pytest.raises(errors.RecordingError, match=r"does not say the chain_id"):
        _ = chain.load(copy).chain_id
