"""Verified ranges say the same as a method a block, in as few rows as can."""

from __future__ import annotations

import datetime
import itertools

import hypothesis
from hypothesis import strategies

from indexer.audit import log_verification
from indexer.chain import types
from indexer.log import gaps, verified

BLOCKS = 24
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


Added = tuple[int, int, types.Method | None]


@strategies.composite
def steps(draw: strategies.DrawFn) -> list[list[Added]]:
    """First and last block of the ranges that are added at once, and how; None: one taken out."""
    methods = list(verified.STRENGTH)
    found: list[list[Added]] = []
    for _ in range(draw(strategies.integers(1, 12))):
        edges = draw(
            strategies.lists(strategies.integers(0, BLOCKS), min_size=2, max_size=7, unique=True)
        )
        spans = list(itertools.pairwise(sorted(edges)))
        if draw(strategies.integers(0, 4)) == 0:
            found.append([(spans[0][0], spans[0][1] - 1, None)])
            continue
        found.append(
            [
                (first, after - 1, draw(strategies.sampled_from(methods)))
                for first, after in spans
                if len(spans) == 1 or draw(strategies.integers(0, 3))
            ]
            or [(spans[0][0], spans[0][1] - 1, "count")]
        )
    return found


@hypothesis.settings(max_examples=400, derandomize=True, deadline=None)
@hypothesis.given(steps())
def test_ranges_say_what_was_said_of_each_block(
    added: list[list[Added]],
) -> None:
    rows: list[verified.Row] = []
    said: dict[int, types.Method] = {}
    for step, at_once in enumerate(added):
        at = START + datetime.timedelta(hours=step)
        lowest, highest = at_once[0][0], at_once[-1][1]
        near = [
            row for row in rows if row.last_block >= lowest - 1 and row.first_block <= highest + 1
        ]
        far = [row for row in rows if row not in near]
        news = [
            verified.Row(first, last, method or "sampled", at) for first, last, method in at_once
        ]
        is_removal = at_once[0][2] is None
        rows = sorted(
            [*far, *verified.overlaid(near, news, is_removal)], key=lambda row: row.first_block
        )
        for first, last, method in at_once:
            for number in range(first, last + 1):
                if method is None:
                    said.pop(number, None)
                elif verified.STRENGTH[method] >= verified.STRENGTH.get(said.get(number), -1):
                    said[number] = method
        told = {n: row.method for row in rows for n in range(row.first_block, row.last_block + 1)}
        assert told == said
        assert sum(row.last_block - row.first_block + 1 for row in rows) == len(said)
        for one, after in itertools.pairwise(rows):
            assert one.last_block < after.first_block - 1 or one.method != after.method


def event(transaction: int, index: int, address: int, data: int = 1) -> types.EmittedEvent:
    return types.EmittedEvent(
        7, transaction, index, "0xb", hex(0xA0 + transaction), hex(address), [5], [data]
    )


def block(*emitted: types.EmittedEvent) -> types.BlockWithReceipts:
    header = types.BlockHeader(7, "0xb", "0xa", 1, "ACCEPTED_ON_L2", "0.14.4", len(emitted))
    receipts = [
        types.Receipt(
            hex(0xA0 + transaction),
            transaction,
            1,
            "FRI",
            "SUCCEEDED",
            [
                types.ReceiptEvent(one.from_address, one.keys, one.data)
                for one in emitted
                if one.transaction_index == transaction
            ],
        )
        for transaction in range(3)
    ]
    return types.BlockWithReceipts(header, receipts)


OURS, LATER, STRANGER = 1, 2, 3
SINCE = {OURS: 0, LATER: 8}


def parted(*pairs: tuple[types.EmittedEvent, gaps.Difference]) -> list[tuple[int, int, str]]:
    return [(one.transaction_index, one.event_index, how) for one, how in pairs]


def found(
    chain: list[types.EmittedEvent], stored: list[types.EmittedEvent]
) -> list[tuple[int, int, str]]:
    return [
        (gap.transaction_index, gap.event_index, gap.difference)
        for gap in log_verification.differences(block(*chain), stored, SINCE)
    ]


def test_each_difference_has_its_name() -> None:
    one, two, three = event(0, 0, OURS), event(1, 0, OURS), event(1, 1, OURS)
    stranger = event(2, 0, STRANGER)
    chain = [one, two, three, stranger]
    assert found(chain, [one, two, three]) == []
    assert found(chain, [one, three]) == parted((two, "missing"))
    assert found(chain, [event(0, 0, OURS, 2), two, three]) == parted((one, "changed"))
    extra = event(1, 9, OURS)
    assert found(chain, [one, two, three, extra]) == parted((extra, "extra"))
    assert found(chain, []) == parted((one, "missing"), (two, "missing"), (three, "missing"))


def test_a_contract_that_is_named_later_may_be_stored_and_then_must_be_whole() -> None:
    one, early, more = event(0, 0, OURS), event(1, 0, LATER), event(2, 0, LATER)
    assert found([one, early, more], [one]) == []
    assert found([one, early, more], [one, early, more]) == []
    assert found([one, early, more], [one, early]) == parted((more, "missing"))
