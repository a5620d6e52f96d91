"""Where two chains part, whatever the chains and whichever blocks were kept."""

from __future__ import annotations

import math
import random

import hypothesis
import pytest
from hypothesis import strategies

from indexer import errors
from indexer.chain import ancestry, types


class Chain:
    """A chain of `length` blocks; from `parts_at` on its hashes are another branch's."""

    def __init__(self, length: int, parts_at: int) -> None:
        self.length, self.parts_at, self.asked = length, parts_at, 0

    def hash_of(self, number: int) -> str:
        return f"0x{number:x}{'b' if number >= self.parts_at else 'a'}"

    async def header(self, number: int) -> types.BlockHeader | None:
        self.asked += 1
        if number >= self.length:
            return None
        return types.BlockHeader(number, self.hash_of(number), "0x0", number, "ACCEPTED_ON_L2", "")


@hypothesis.given(
    strategies.integers(0, 300),
    strategies.integers(0, 300),
    strategies.sets(strategies.integers(0, 400), max_size=120),
    strategies.randoms(use_true_random=False),
)
async def test_the_highest_shared_block_is_found(
    length: int, parts_at: int, kept: set[int], shuffler: random.Random
) -> None:
    node = Chain(length, parts_at)
    ladder = [(number, f"0x{number:x}a") for number in kept]
    shuffler.shuffle(ladder)
    found = await ancestry.find_common_ancestor(node, ladder)
    shared = [rung for rung in ladder if rung[0] < min(length, parts_at)]
    assert found == max(shared, default=None)
    assert node.asked <= math.ceil(math.log2(len(ladder) + 1)) + 1


async def test_no_ladder_has_no_ancestor() -> None:
    assert await ancestry.find_common_ancestor(Chain(5, 5), []) is None


async def test_agreement_is_decided_by_the_hash() -> None:
    node = Chain(10, 5)
    assert await ancestry.head_agrees(node, 4, "0x4a")
    assert not await ancestry.head_agrees(node, 5, "0x5a")


async def test_a_node_that_lags_behind_its_own_head_proves_nothing() -> None:
    with pytest.raises(errors.InconsistentAnswerError, match="does not know that block"):
        await ancestry.head_agrees(Chain(10, 5), 10, "0xaa")
