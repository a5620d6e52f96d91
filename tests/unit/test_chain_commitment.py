"""The event commitment agrees with every recorded header, and completeness with the receipts."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest

from indexer import errors
from indexer.chain import block_proof, commitment, types, wire
from indexer.recording import chain

DATA = Path(__file__).parent.parent / "data"
RECORDINGS = [
    chain.bundled(),
    *(DATA / name for name in ("devnet-v11", "devnet-v10-migration", "devnet-v10-genesis")),
]


def blocks(folder: Path) -> list[types.BlockWithReceipts]:
    with gzip.open(folder / "blocks.jsonl.gz") as lines:
        return [wire.block(wire.full_block_decoder.decode(line)) for line in lines]


@pytest.mark.parametrize("folder", RECORDINGS, ids=lambda folder: folder.name)
def test_commitment_and_count_of_every_recorded_block(folder: Path) -> None:
    compared = 0
    for block in blocks(folder):
        count = sum(len(receipt.events) for receipt in block.receipts)
        assert count == block.header.event_count
        assert hex(commitment.of_block(block.receipts)) == block.header.event_commitment
        compared += 1
    print(f"compared {compared} blocks of {folder.name}")
    assert compared > 50


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_the_commitment_is_the_same_with_any_number_of_threads(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment, "EVENTS_PER_THREAD", 1)
    compared = 0
    for block in blocks(chain.bundled()):
        if (block.header.event_count or 0) > 1:
            found = commitment.of_block(block.receipts, threads)
            assert hex(found) == block.header.event_commitment
            compared += 1
    print(f"compared {compared} blocks with {threads} threads")
    assert compared > 50


def ours(block: types.BlockWithReceipts, address: str) -> list[types.EmittedEvent]:
    return [
        types.EmittedEvent(
            block.header.number,
            receipt.transaction_index,
            index,
            block.header.hash,
            receipt.transaction_hash,
            event.from_address,
            event.keys,
            event.data,
        )
        for receipt in block.receipts
        for index, event in enumerate(receipt.events)
        if event.from_address == address
    ]


@pytest.fixture(scope="module")
def busy() -> types.BlockWithReceipts:
    return max(blocks(chain.bundled()), key=lambda block: block.header.event_count or 0)


def test_all_that_is_told_proves_complete(busy: types.BlockWithReceipts) -> None:
    address = busy.receipts[0].events[0].from_address
    assert block_proof.prove(busy, ours(busy, address), {address}) == "commitment"


def test_one_event_less_is_refused(busy: types.BlockWithReceipts) -> None:
    address = busy.receipts[0].events[0].from_address
    told = ours(busy, address)
    for index in range(len(told)):
        with pytest.raises(errors.InconsistentAnswerError, match="its receipts hold"):
            block_proof.prove(busy, told[:index] + told[index + 1 :], {address})


def test_receipts_that_lack_an_event_are_refused(busy: types.BlockWithReceipts) -> None:
    first = busy.receipts[0]
    short = msgspec.structs.replace(first, events=first.events[:-1])
    block = msgspec.structs.replace(busy, receipts=[short, *busy.receipts[1:]])
    with pytest.raises(errors.InconsistentAnswerError, match="counts"):
        block_proof.prove(block, [], set())


def test_receipts_that_change_an_event_are_refused(busy: types.BlockWithReceipts) -> None:
    first = busy.receipts[0]
    event = msgspec.structs.replace(first.events[-1], data=[0x1234])
    changed = msgspec.structs.replace(first, events=[*first.events[:-1], event])
    block = msgspec.structs.replace(busy, receipts=[changed, *busy.receipts[1:]])
    with pytest.raises(errors.InconsistentAnswerError, match="commitment"):
        block_proof.prove(block, [], set())


def test_the_proof_is_named_by_what_the_header_tells(busy: types.BlockWithReceipts) -> None:
    without = msgspec.structs.replace(busy.header, event_commitment=None)
    counted = msgspec.structs.replace(busy, header=without)
    assert block_proof.prove(counted, [], set()) == "count"
    neither = msgspec.structs.replace(without, event_count=None)
    assert block_proof.prove(msgspec.structs.replace(busy, header=neither), [], set()) == (
        "receipts"
    )


def test_a_missing_event_is_found_without_hashing(busy: types.BlockWithReceipts) -> None:
    address = busy.receipts[0].events[0].from_address
    told = ours(busy, address)
    assert block_proof.prove(busy, told, {address}, threads=0) == "count"
    with pytest.raises(errors.InconsistentAnswerError, match="its receipts hold"):
        block_proof.prove(busy, told[1:], {address}, threads=0)
    header = msgspec.structs.replace(busy.header, event_commitment="0x1")
    changed = msgspec.structs.replace(busy, header=header)
    assert block_proof.prove(changed, told, {address}, threads=0) == "count"


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.3, 1.0])
def test_the_sample_has_its_rate_and_is_the_same_by_seed(rate: float) -> None:
    blocks = 20_000
    drawn = {n for n in range(blocks) if block_proof.is_sampled(n, rate, seed=7)}
    assert drawn == {n for n in range(blocks) if block_proof.is_sampled(n, rate, seed=7)}
    assert abs(len(drawn) - rate * blocks) <= 5 * (blocks * rate * (1 - rate)) ** 0.5
    other = {n for n in range(blocks) if block_proof.is_sampled(n, rate, seed=8)}
    assert (drawn == other) == (rate in (0.0, 1.0))


def test_runs_are_the_fewest_that_say_the_same() -> None:
    proofs: dict[int, types.Proof] = dict.fromkeys([3, 4, 5, 9], "commitment")
    proofs |= dict.fromkeys([6, 7], "count")
    found = types.runs(proofs)
    assert found == (
        types.Verified(3, 5, "commitment"),
        types.Verified(6, 7, "count"),
        types.Verified(9, 9, "commitment"),
    )
    assert types.runs({}) == ()
