"""The common ancestor: by hash at a height, with a head that may have gone down."""

from __future__ import annotations

import random

import hypothesis
import pytest
from hypothesis import strategies

from indexer import errors
from indexer.chain import follower, types


class Headers:
    """A chain that shares its blocks below `fork` with ours and ends at `head`."""

    def __init__(self, fork: int, head: int) -> None:
        self.fork, self.head = fork, head
        self.asked = 0

    async def header(self, number: int) -> types.BlockHeader | None:
        self.asked += 1
        if number > self.head:
            return None
        hash_ = hex(number) if number < self.fork else hex(number + 0x1000000)
        return types.BlockHeader(number, hash_, "0x0", 0, "ACCEPTED_ON_L2", "")


@hypothesis.given(
    strategies.sets(strategies.integers(0, 20_000), max_size=60),
    strategies.integers(0, 20_001),
    strategies.integers(-1, 20_000),
    strategies.randoms(use_true_random=False),
)
async def test_the_ancestor_is_the_highest_shared_block(
    numbers: set[int], fork: int, head: int, chance: random.Random
) -> None:
    ladder = [(number, hex(number)) for number in numbers]
    chance.shuffle(ladder)
    node = Headers(fork, head)
    shared = [number for number in numbers if number < fork and number <= head]
    expected = (max(shared), hex(max(shared))) if shared else None
    assert await follower.find_common_ancestor(node, ladder) == expected
    assert node.asked <= len(numbers).bit_length() + 1


async def test_a_hash_decides_at_a_height() -> None:
    assert await follower.head_agrees(Headers(50, 100), 49, hex(49))
    assert not await follower.head_agrees(Headers(50, 100), 50, hex(50))


async def test_a_node_that_lags_proves_nothing() -> None:
    with pytest.raises(errors.InconsistentAnswerError, match="block 101"):
        await follower.head_agrees(Headers(50, 100), 101, hex(101))
