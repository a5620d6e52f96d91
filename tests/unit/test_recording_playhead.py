"""Which blocks of a recording are visible, and how the head moves."""

from __future__ import annotations

import itertools

import hypothesis
import pytest
from hypothesis import strategies

from indexer import errors
from indexer.recording import chain, playhead, view

RECORDING = chain.load(chain.bundled())
Tip = view.Tip
Playhead = playhead.Playhead


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_everything_at_once() -> None:
    head = Playhead.everything(RECORDING)
    assert head.tip == Tip(0, 125)
    assert head.steps_left == 0


def test_release_moves_the_head_and_stops_at_the_end() -> None:
    head = Playhead.at_block(RECORDING, 120)
    assert head.tip == Tip(0, 120)
    assert head.release(3) == Tip(0, 123)
    with pytest.raises(errors.RecordingError, match="2 steps left"):
        head.release(3)
    assert head.tip == Tip(0, 123)


def test_an_empty_node_shows_nothing_until_released() -> None:
    head = Playhead.at_block(RECORDING, -1)
    assert head.tip is None
    assert head.view().head is None
    assert head.view().block_at(0) is None
    assert head.release() == Tip(0, 0)


def test_story_climbs_the_fork_then_drops_back() -> None:
    head = Playhead.at_block(RECORDING, 83, story=True)
    tips = [head.release() for _ in range(head.steps_left)]
    fork = [Tip(1, number) for number in range(85, 92)]
    assert tips[:10] == [Tip(0, 84), *fork, Tip(0, 84), Tip(0, 85)]
    assert tips[-1] == Tip(0, 125)
    assert tips.count(Tip(1, 91)) == 1


def test_pace_starts_at_the_first_look() -> None:
    clock = Clock()
    head = Playhead.paced(RECORDING, held_back=25, blocks_per_second=2, clock=clock)
    clock.now += 60
    assert head.tip == Tip(0, 100)
    clock.now += 0.4
    assert head.tip == Tip(0, 100)
    clock.now += 0.2
    assert head.tip == Tip(0, 101)
    clock.now += 3
    assert head.tip == Tip(0, 107)
    clock.now += 1000
    assert head.tip == Tip(0, 125)


def test_pace_plays_the_story() -> None:
    clock = Clock()
    head = Playhead.paced(RECORDING, held_back=45, blocks_per_second=1, story=True, clock=clock)
    seen = [head.tip]
    for _ in range(45):
        clock.now += 1
        seen.append(head.tip)
    numbers = [tip.number for tip in seen if tip is not None]
    drops = [pair for pair in itertools.pairwise(numbers) if pair[1] < pair[0]]
    assert drops == [(91, 84)]
    assert seen[-1] == Tip(0, 125)


def test_go_to_switches_between_branches() -> None:
    head = Playhead.at_block(RECORDING, 90)
    head.go_to(91, branch=1)
    assert head.view().block_at(91) == RECORDING.forks[0].blocks[91]
    head.go_to(92)
    assert head.view().block_at(91) == RECORDING.main.blocks[91]
    assert head.release() == Tip(0, 93)


def test_go_to_an_unknown_place_is_refused() -> None:
    head = Playhead.at_block(RECORDING, 90)
    with pytest.raises(errors.RecordingError, match="no fork 7"):
        head.go_to(91, branch=7)
    with pytest.raises(errors.RecordingError, match="no block 126"):
        head.go_to(126)


def test_was_shown_remembers_the_abandoned() -> None:
    head = Playhead.at_block(RECORDING, 84)
    abandoned = RECORDING.forks[0].blocks
    head.go_to(88, branch=1)
    head.go_to(100)
    assert head.was_shown(abandoned[88])
    assert not head.was_shown(abandoned[89])
    assert not head.was_shown(RECORDING.main.blocks[101])


def test_finality_follows_the_head() -> None:
    head = Playhead.at_block(RECORDING, 5, finality_lag=10)
    assert head.view().finalised is None
    head.release(10)
    here = head.view()
    assert here.finalised == RECORDING.main.blocks[5]
    assert here.is_final(RECORDING.main.blocks[5])
    assert not here.is_final(RECORDING.main.blocks[6])


@hypothesis.given(
    strategies.one_of(
        strategies.builds(Tip, strategies.just(0), strategies.integers(0, 125)),
        strategies.builds(Tip, strategies.just(1), strategies.integers(85, 91)),
    )
)
def test_every_view_is_one_linked_chain(tip: Tip) -> None:
    here = view.View(RECORDING, tip)
    blocks = [here.block_at(number) for number in range(tip.number + 1)]
    assert all(block is not None and here.contains(block) for block in blocks)
    for below, block in itertools.pairwise(blocks):
        assert below is not None
        assert block is not None
        assert block.parent_hash == below.hash
    assert here.block_at(tip.number + 1) is None
    assert here.block_at(-1) is None
    assert here.head == blocks[-1]
