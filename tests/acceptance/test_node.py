"""What Node makes of the answers: JSON.parse and JSON.stringify change no digit."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import hypothesis
import pytest
from hypothesis import strategies

from indexer.api import compat
from tests.acceptance.api_client import Client
from tests.acceptance.test_api_questions import answers

BLOCKS = (20, 60, 95, 125)
"""Blocks of devnet-a from its beginning to its end."""

AGAIN = """
const lines = require("fs").readFileSync(0, "utf8").split("\\n").filter((line) => line);
const again = lines.map((line) => JSON.stringify(JSON.parse(line)));
process.stdout.write(again.join("\\n"));
"""


async def parsed_and_written(documents: list[str]) -> list[str]:
    """Each JSON document as Node writes what it has read of it."""
    node = await asyncio.create_subprocess_exec(
        *("node", "-e", AGAIN), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await node.communicate("\n".join(documents).encode())
    assert node.returncode == 0
    return out.decode().split("\n")


@pytest.mark.parametrize("block", BLOCKS)
async def test_no_answer_changes_a_digit_in_node(api: Client, block: int) -> None:
    """Every route's answer, byte for byte."""
    told = await answers(api, block)
    again = await parsed_and_written([raw.decode() for raw in told.values()])
    for (path, raw), text in zip(told.items(), again, strict=True):
        assert text == raw.decode(), path


async def test_numbers_that_node_would_change_are_seen() -> None:
    """The test above fails where a number is too wide: two that Node cannot keep."""
    for text in ("9007199254740993", "4503599627370497.13"):
        assert await parsed_and_written([text]) != [text]
    assert await parsed_and_written(['{"a":"9007199254740993"}']) == ['{"a":"9007199254740993"}']


@hypothesis.given(
    strategies.decimals(min_value=0, max_value=10**30, places=9),
    strategies.sampled_from((compat.CENT, compat.MICRO)),
)
def test_no_usd_or_percent_is_too_wide_for_a_double(value: Decimal, step: Decimal) -> None:
    """At most 15 digits and 2^53, rounded down; in full where they fit."""
    text = bytes(compat.number(value, step)).decode()
    assert Decimal(repr(json.loads(text))) == Decimal(text) <= min(value, Decimal(2**53))
    if value < 10**8:
        assert value - Decimal(text) < step
