"""Seeded runs: some in `make test`, thirty in `make test-all`, any number by `make chaos`."""

from __future__ import annotations

import collections
from collections.abc import AsyncIterator

import pytest

from tests import zygote
from tests.chaos import expected, schedule, simulator

SEEDS = range(1, 31)
ODD_SEEDS = range(1, 13)
PROXIED_SEEDS = range(1, 25)


def first_light(seeds: range, light: int) -> list[object]:
    """The seeds as parameters; all but the first few are heavy."""
    return [pytest.param(seed, marks=[pytest.mark.heavy] if seed > light else []) for seed in seeds]


def quick_light(seeds: range, light: int) -> list[object]:
    """Heavy are all but the first few in which no silence has to be waited for."""
    slow = {seed for seed in seeds if _is_slow(schedule.draw_proxied(seed))}
    quick = [seed for seed in seeds if seed not in slow][:light]
    return [
        pytest.param(seed, marks=[] if seed in quick else [pytest.mark.heavy]) for seed in seeds
    ]


def _is_slow(plan: schedule.Schedule) -> bool:
    return any(move.what == "forget" or move.number == 600 for move in plan.moves)


@pytest.fixture(scope="module")
async def maker() -> AsyncIterator[zygote.Zygote]:
    async with zygote.Zygote() as made:
        yield made


@pytest.fixture(scope="module")
async def truth() -> AsyncIterator[expected.Expected]:
    async with expected.prepared() as made:
        yield made


@pytest.mark.parametrize("seed", first_light(SEEDS, 5))
async def test_a_seeded_run(truth: expected.Expected, maker: zygote.Zygote, seed: int) -> None:
    plan = schedule.draw(seed)
    print(plan.text())
    outcome = await simulator.play(truth, maker, plan)
    assert not outcome.problem, outcome.said
    assert outcome.phases, "nothing was killed"


@pytest.mark.parametrize("seed", first_light(ODD_SEEDS, 2))
async def test_a_seeded_run_behind_an_odd_gateway(
    truth: expected.Expected, maker: zygote.Zygote, seed: int
) -> None:
    """Limits on ranges, batches, lists, pages and rates change, in other words each time."""
    plan = schedule.draw_odd(seed)
    print(plan.text())
    outcome = await simulator.play(truth, maker, plan)
    assert not outcome.problem, outcome.said
    assert outcome.refused, "nothing was refused"


@pytest.mark.parametrize("seed", quick_light(PROXIED_SEEDS, 2))
async def test_a_seeded_run_behind_a_bad_way_to_the_database(
    truth: expected.Expected, maker: zygote.Zygote, seed: int
) -> None:
    """Connections end, are late, freeze, are half closed; probes are answered all the time."""
    plan = schedule.draw_proxied(seed)
    print(plan.text())
    outcome = await simulator.play(truth, maker, plan)
    assert not outcome.problem, outcome.said
    print(outcome.slowest)
    assert outcome.slowest.probes, "no probe was answered"


def test_every_trouble_is_drawn_in_the_runs_behind_a_bad_way() -> None:
    plans = [schedule.draw_proxied(seed) for seed in PROXIED_SEEDS]
    moves = [move for plan in plans for move in plan.moves]
    assert {move.what for move in moves if move.kind == "trouble"} == set(schedule.TROUBLES)
    assert {move.kind for move in moves} >= {"go", "stop", "flow", "kill", "fault"}
    assert {plan.from_nothing for plan in plans} == {True, False}


def test_every_limit_is_drawn_in_twelve_odd_runs() -> None:
    plans = [schedule.draw_odd(seed) for seed in ODD_SEEDS]
    moves = [move for plan in plans for move in plan.moves]
    assert {move.what for move in moves if move.kind == "limit"} == set(schedule.LIMITS)
    assert {move.kind for move in moves} >= {"go", "limit", "passing", "kill"}
    assert {plan.from_nothing for plan in plans} == {True, False}


def test_every_phase_is_drawn_in_thirty_runs() -> None:
    drawn = collections.Counter(
        move.what for seed in SEEDS for move in schedule.draw(seed).moves if move.kind == "kill"
    )
    assert set(drawn) == set(schedule.PHASES)


def test_an_endpoint_is_shut_and_opened_in_thirty_runs() -> None:
    plans = [schedule.draw(seed) for seed in SEEDS]
    assert {plan.endpoints for plan in plans} == {1, 2}
    assert {move.kind for plan in plans for move in plan.moves} >= {"shut", "open"}


def test_a_seed_gives_the_same_schedule_again() -> None:
    assert [schedule.draw(seed) for seed in SEEDS] == [schedule.draw(seed) for seed in SEEDS]


async def test_a_difference_is_found_and_the_schedule_made_small(
    truth: expected.Expected, maker: zygote.Zygote
) -> None:
    """The simulator can fail: with another truth it does, and what is not needed falls away."""
    other = expected.falsified(truth)
    outcome = await simulator.play(other, maker, schedule.draw(1))
    assert outcome.problem.startswith("digests differ")
    assert (await simulator.shrink(other, maker, outcome)).plan.moves == ()
