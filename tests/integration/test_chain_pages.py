"""Paging: the result is the whole filtered set, or a refusal; never a part of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from indexer import errors
from indexer.chain import pages, rpc, types
from tests.integration import chain_stage
from tests.integration.chain_stage import EMITTERS, LAST, ok, refused, truth

MINE = 0xABC


def told(block: int, transaction: int = 0, index: int = 0, **changes: Any) -> dict[str, Any]:
    """An event as a page tells it."""
    event = {
        "from_address": hex(MINE),
        "keys": ["0x1"],
        "data": [],
        "transaction_hash": f"0x{block}{transaction}",
        "block_hash": f"0xb{block}",
        "block_number": block,
        "transaction_index": transaction,
        "event_index": index,
    }
    return {name: value for name, value in {**event, **changes}.items() if value != "absent"}


async def read(*answers: Any, from_block: int = 10, to_block: int = 20) -> list[types.EmittedEvent]:
    """What is made of these pages, each a list of events or (events, token)."""
    left = list(answers)

    def reply(message: Any) -> Any:
        page = left.pop(0)
        if callable(page):
            return page(message)
        events, token = page if isinstance(page, tuple) else (page, None)
        return ok(message, {"events": events, "continuation_token": token})

    async with chain_stage.endpoint(reply) as (made, _):
        return await chain_stage.unprobed(made).events(from_block, to_block, [MINE])


async def refusal(*answers: Any) -> errors.IndexerError:
    return await chain_stage.failure(read(*answers))


# --- everything, however it is cut ----------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
async def test_the_pages_are_the_whole_set(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    chunk = chance.choice([1, 2, 3, 7, 50, 1000])
    monkeypatch.setattr(rpc, "LARGEST_PAGE", chunk)
    path = chance.choice(["/", "/rpc/v0_9"])
    scan_limit = chance.choice([None, 1, 2, 5, 30])
    async with chain_stage.node(path=path, chunk_limit=chunk, scan_limit=scan_limit) as node:
        for _ in range(4):
            first, last = sorted(chance.randint(0, LAST) for _ in range(2))
            asked = chance.sample(EMITTERS, chance.randint(0, 5))
            asked += [chance.getrandbits(250)] * chance.randint(0, 1)
            found = await node.source.events(first, last, asked)
            assert found == truth(first, last, asked)


async def test_no_address_is_not_any_address() -> None:
    async with chain_stage.node() as node:
        assert await node.source.events(0, LAST, []) == []


async def test_a_range_above_the_head_is_empty_as_nodes_say() -> None:
    async with chain_stage.node() as node:
        assert await node.source.events(LAST + 1, LAST + 9, EMITTERS) == []


async def test_empty_pages_with_a_token_are_not_the_end() -> None:
    found = await read(([], "15-0"), ([], "16-0"), ([told(17)], "18-0"), [])
    assert [event.block_number for event in found] == [17]


async def test_events_told_twice_are_one() -> None:
    found = await read(([told(11), told(12)], "12-0"), [told(12), told(13)])
    assert [event.block_number for event in found] == [11, 12, 13]


async def test_the_order_of_the_chain_not_that_of_the_pages() -> None:
    found = await read([told(12, 1), told(12, 0, 1), told(11, 5), told(12, 0, 0)])
    keys = [(one.block_number, one.transaction_index, one.event_index) for one in found]
    assert keys == [(11, 5, 0), (12, 0, 0), (12, 0, 1), (12, 1, 0)]


async def test_felts_are_brought_into_canonical_form() -> None:
    (event,) = await read(
        [told(11, from_address="0X000ABC", keys=["0x00FF", "0x0"], block_hash="0x0B")]
    )
    assert (event.from_address, event.keys, event.block_hash) == ("0xabc", [255, 0], "0xb")


async def test_too_many_events_are_refused_before_all_are_read() -> None:
    def reply(message: Any) -> Any:
        # So late in the range, the first page does not tell that there are too many.
        block = 19 if "continuation_token" not in message["params"]["filter"] else 20
        return {
            "events": [told(block, index) for index in range(3)],
            "continuation_token": f"{block}-0",
        }

    async with chain_stage.endpoint(reply) as (made, liar):
        asking = chain_stage.unprobed(made).events(10, 20, [MINE], most=4)
        assert isinstance(await chain_stage.failure(asking), errors.RangeTooLargeError)
    assert len(liar.asked) == 2


# --- lies -----------------------------------------------------------------------------------

LIES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "repeated token": lambda: (([], "15-0"), ([], "16-0"), ([], "15-0")),
    "foreign address": lambda: ([told(11, from_address="0xdef")],),
    "unconfirmed": lambda: ([told(11, block_hash="absent")],),
    "null hash": lambda: ([told(11, block_hash=None)],),
    "no number": lambda: ([told(11, block_number="absent")],),
    "above the range": lambda: ([told(21)],),
    "below the range": lambda: ([told(9)],),
    "no index": lambda: ([told(11, event_index="absent")],),
    "two hashes of one block": lambda: (([told(11, 0)], "11-1"), [told(11, 1, block_hash="0xc")]),
    "one key, two events": lambda: (([told(11)], "11-1"), [told(11, data=["0x1"])]),
    "felt at the prime": lambda: ([told(11, data=[hex(2**251 + 17 * 2**192 + 1)])],),
    "felt without 0x": lambda: ([told(11, keys=["ff"])],),
    "felt too long": lambda: ([told(11, keys=["0x" + "0" * 65])],),
    "keys null": lambda: ([told(11, keys=None)],),
    "number as text": lambda: ([told(11, block_number="0xb")],),
    "no events": lambda: (lambda message: ok(message, {}),),
    "null": lambda: (lambda message: ok(message, None),),
    "foreign token": lambda: (([], "15-0"), lambda message: refused(message, 33)),
}


@pytest.mark.parametrize("name", LIES)
async def test_a_page_that_cannot_be_true_is_refused(name: str) -> None:
    assert type(await refusal(*LIES[name]())) is errors.InconsistentAnswerError


async def test_a_page_size_that_the_node_does_not_take_is_said() -> None:
    too_big = [lambda message: refused(message, 31, "Requested page size is too big")]
    error = await refusal(*too_big * 50)
    assert isinstance(error, errors.RpcError)
    assert "page size is too big" in str(error)


async def test_endless_pages_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 5)
    error = await refusal(*[([], f"{number}-0") for number in range(10)])
    assert type(error) is errors.RangeTooLargeError


# --- without indexes ------------------------------------------------------------------------


async def test_receipts_of_another_fork_than_the_events_are_refused() -> None:
    def change(block: Any) -> Any:
        return {**block, "block_hash": "0xdead"}

    def fault(method: str, _: Any) -> chain_stage.options.Fault | None:
        if method == "starknet_getBlockWithReceipts":
            return chain_stage.options.Fault(edit=change)
        return None

    async with chain_stage.node(path="/rpc/v0_9", fault=fault) as node:
        error = await chain_stage.failure(node.source.events(0, LAST, EMITTERS[:3]))
    assert type(error) is errors.InconsistentAnswerError
    assert "changed block" in str(error)
