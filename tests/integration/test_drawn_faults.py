"""Each way in which a node breaks in many variants: what is answered, when and how often is drawn.

A range is read over a real socket through a fault that passes: every event is there, once, and the
log names the kind. docs/failure-modes.md is the same in words.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog

from indexer.chain import client, ranges, transport, types
from tests import odd_gateway
from tests.integration import chain_stage
from tests.integration.chain_stage import EMITTERS, LAST, READING, SETTINGS, truth
from tests.integration.faults import Fault, refuse

SEEDS = [pytest.param(seed, marks=[] if seed < 4 else [pytest.mark.heavy]) for seed in range(8)]
FIRST = LAST - 59
METHODS = ("starknet_getEvents", "starknet_getBlockWithReceipts", "starknet_getBlockWithTxHashes")
Log = list[dict[str, Any]]


class Passing:
    """A fault of one method, drawn: after some good answers, for one request or two."""

    def __init__(
        self, dice: random.Random, fault: Fault, methods: tuple[str, ...] = METHODS, most: int = 2
    ) -> None:
        self.method = dice.choice(methods)
        self.left = dice.randint(1, most)
        self._fault = fault
        self._good = dice.randint(0, 2)
        print(f"{self.left} of {self.method} after {self._good}: {fault}")

    def __call__(self, method: str, _: Any) -> Fault | None:
        if method != self.method or not self.left:
            return None
        if self._good:
            self._good -= 1
            return None
        self.left -= 1
        return self._fault


async def read(node: client.StarknetNode, window: int = 12) -> list[types.EmittedEvent]:
    settings = msgspec.structs.replace(
        READING, first_window=window, largest_window=window, verify="all"
    )
    known = frozenset(EMITTERS)

    async def discover(_: object) -> None:
        return None

    reader = ranges.RangeReader(node, settings)
    parts = [part async for part in reader.ranges(FIRST, LAST, lambda: known, discover)]
    assert parts[0].from_block == FIRST
    assert parts[-1].to_block == LAST
    assert all(a.to_block + 1 == b.from_block for a, b in itertools.pairwise(parts))
    return [event for part in parts for event in part.events]


async def survived(
    fault: Callable[[str, Any], Fault | None],
    settings: Any = SETTINGS,
    window: int = 12,
) -> set[str]:
    """The kinds of trouble in the log of a reading that went well in the end."""
    with structlog.testing.capture_logs() as logged:
        async with (
            chain_stage.recorded(fault=fault) as url,
            chain_stage.connected(url, settings=settings) as node,
        ):
            assert await read(node, window) == truth(FIRST, LAST, EMITTERS)
    return {line["kind"] for line in logged if line["event"] == "node_trouble"}


@pytest.fixture
def dice(seed: int) -> random.Random:
    print(f"seed {seed}")
    return random.Random(seed)


PAGES = (b"", b"<html>error</html>", b"upstream went away", b'{"message": "no"}', b"\xff\xfe")
SERVER_ERRORS = [*range(500, 503), *range(504, 512), *range(520, 531), 599]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_server_error_of_any_number_passes(dice: random.Random) -> None:
    passing = Passing(dice, Fault(status=dice.choice(SERVER_ERRORS), body=dice.choice(PAGES)))
    assert await survived(passing) >= {"http_5xx"}
    assert not passing.left


INTERNAL = ("Internal error", "panicked", "db read failed", "backend {n} closed", "", "unexpected")


@pytest.mark.parametrize("seed", SEEDS)
async def test_an_internal_error_in_any_words_passes(dice: random.Random) -> None:
    words = odd_gateway.wording(dice, INTERNAL)
    passing = Passing(dice, Fault(edit=refuse(dice.choice([-32603, -32010]), words)))
    assert await survived(passing) >= {"internal"}
    assert not passing.left


NO_JSON_RPC = (
    b"",
    b" \r\n",
    b"null",
    b'"busy"',
    b"<html><body>soon</body></html>",
    b"OK",
    b'{"error":"discontinued"}',
    b'{"error":{"message":"no code"}}',
    b"7",
    b"[[[[",
    b"\x00\x01\x02",
)


@pytest.mark.parametrize("seed", SEEDS)
async def test_an_answer_that_is_no_json_rpc_passes(dice: random.Random) -> None:
    passing = Passing(dice, Fault(status=200, body=dice.choice(NO_JSON_RPC)))
    assert await survived(passing) >= {"not_json_rpc"}
    assert not passing.left


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_body_that_is_cut_or_spoiled_anywhere_passes(dice: random.Random) -> None:
    whole = b'{"jsonrpc":"2.0","id":1,"result":{"events":[{"data":["0x1","0x2"]}]}}'
    at = dice.randint(1, len(whole) - 1)
    spoiled = whole[:at] + bytes([dice.randint(0x80, 0xFF)]) + whole[at:]
    fault = dice.choice(
        [
            Fault(close_after=dice.randint(1, 400)),
            Fault(status=200, body=whole[:at]),
            Fault(status=200, body=spoiled),
        ]
    )
    passing = Passing(dice, fault)
    assert await survived(passing) & {"unreachable", "not_json_rpc", "mismatched"}
    assert not passing.left


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_connection_that_is_cut_before_the_answer_passes(dice: random.Random) -> None:
    passing = Passing(dice, Fault(close_after=0))
    assert await survived(passing) >= {"unreachable"}
    assert not passing.left


@pytest.mark.parametrize("seed", SEEDS[:6])
async def test_a_question_that_is_never_answered_is_given_up(dice: random.Random) -> None:
    passing = Passing(dice, Fault(delay=60), most=1)
    settings = msgspec.structs.replace(
        SETTINGS, request_timeout_seconds=dice.choice([0.5, 0.75, 1.0])
    )
    assert await survived(passing, settings) >= {"timeout"}
    assert not passing.left


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_answer_left_out_of_a_batch_is_asked_again(dice: random.Random) -> None:
    batched = ("starknet_getEvents", "starknet_getBlockTransactionCount", METHODS[1])
    passing = Passing(dice, Fault(drop=True), batched)
    assert await survived(passing) >= {"mismatched"}
    assert not passing.left


@pytest.mark.parametrize("seed", SEEDS[:6])
async def test_any_limit_of_a_body_is_kept_by_smaller_ranges(
    dice: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LARGEST_BODY", dice.randint(90_000, 160_000))
    print(f"at most {transport.LARGEST_BODY} bytes")
    assert await survived(lambda _, __: None, window=60) >= {"too_large"}
