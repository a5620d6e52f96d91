"""Reading a recorded chain from its folder, and what is said when it is broken."""

from __future__ import annotations

import gzip
import json
import pathlib
import shutil

import pytest

from indexer import errors
from indexer.recording import chain, lines


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
    assert recording.block_by_hash(abandoned.hash) == abandoned
    assert recording.block_by_hash("0x1") is None
    for branch in (recording.main, *recording.forks):
        for block in branch.blocks.values():
            assert recording.block_by_hash(block.hash) == block


def test_hashes_alike_at_their_end_are_all_candidates() -> None:
    hashes = lines.Hashes()
    for text in ("0x5", "0x1ffffffffff", "0x2ffffffffff", "0x6", "0xffffffffff"):
        hashes.append(text)
    assert sorted(hashes.candidates("0x3ffffffffff")) == [1, 2, 4]
    assert list(hashes.candidates("0x5")) == [0]
    assert list(hashes.candidates("0x7")) == []
    hashes.append("0x7")
    assert list(hashes.candidates("0x7")) == [5]


def test_files_without_compression_are_the_same_recording(
    recording: chain.Recording, copy: pathlib.Path
) -> None:
    (copy / "SHA256SUMS").unlink()
    for path in copy.rglob("*.jsonl.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    plain = chain.load(copy)
    assert len(plain.forks) == 1
    for index in (0, 1):
        expected, found = recording.branch(index), plain.branch(index)
        assert (found.first, found.last, found.common) == (
            expected.first,
            expected.last,
            expected.common,
        )
        assert found.calls.keys() == expected.calls.keys()
        assert found.state_updates == expected.state_updates
        for block in expected.blocks.values():
            same = found.blocks[block.number]
            assert (same.hash, same.parent_hash) == (block.hash, block.parent_hash)
            assert (same.answer, same.events) == (block.answer, block.events)


def test_a_block_has_the_events_that_its_receipts_have(recording: chain.Recording) -> None:
    found = recording.main.blocks
    path = chain.bundled() / "blocks.jsonl.gz"
    bodies = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert list(found) == [body["block_number"] for body in bodies]
    contracts = recording.manifest["contracts"]
    some = {contracts["pool_factory"]["address"], contracts["pool:prime"]["address"]}
    total = 0
    for body in bodies:
        block = found[body["block_number"]]
        emitted = [
            (item["receipt"]["transaction_hash"], event["from_address"], event["keys"])
            for item in body["transactions"]
            for event in item["receipt"]["events"]
        ]
        assert json.loads(bytes(block.answer)) == body
        assert [
            (event.transaction_hash, event.from_address, [*map(hex, event.keys)])
            for event in block.events
        ] == emitted
        total += len(block.event_texts(some))
        chosen = [json.loads(text)["from_address"] for text in block.event_texts(some)]
        assert chosen == [emitter for _, emitter, _ in emitted if emitter in some]
        assert block.event_texts(set()) == []
    assert total > 20


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


def test_events_out_of_the_blocks_order_are_named(copy: pathlib.Path) -> None:
    (copy / "SHA256SUMS").unlink()
    path = copy / "events.jsonl.gz"
    first, *rest = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join([*rest, first])))
    with pytest.raises(errors.RecordingError, match=r"events\.jsonl\.gz events of block 0x"):
        chain.load(copy)


def test_a_fork_above_no_block_is_named(copy: pathlib.Path) -> None:
    (copy / "SHA256SUMS").unlink()
    (copy / "forks" / "1" / "abort.json").write_text('{"common_block_number": 126}')
    with pytest.raises(errors.RecordingError, match=r"leaves the main chain at block 126"):
        chain.load(copy)


def test_a_fork_that_begins_too_high_is_named(copy: pathlib.Path) -> None:
    (copy / "SHA256SUMS").unlink()
    (copy / "forks" / "1" / "abort.json").write_text('{"common_block_number": 83}')
    with pytest.raises(errors.RecordingError, match=r"block 84 is missing"):
        chain.load(copy)


def test_a_branch_without_events(copy: pathlib.Path) -> None:
    (copy / "SHA256SUMS").unlink()
    (copy / "forks" / "1" / "events.jsonl.gz").unlink()
    (copy / "forks" / "1" / "events.jsonl").touch()
    fork = chain.load(copy).forks[0]
    assert len(fork.blocks) == 7
    assert not any(block.events for block in fork.blocks.values())


def test_recording_without_chain_id(copy: pathlib.Path) -> None:
    (copy / "SHA256SUMS").unlink()
    (copy / "manifest.json").write_text("{}")
    with pytest.raises(errors.RecordingError, match=r"does not say the chain_id"):
        _ = chain.load(copy).chain_id
