"""Cost basis by average and FIFO, against the same computed unit by unit."""

from __future__ import annotations

from fractions import Fraction

import hypothesis
from hypothesis import strategies as st

from indexer.vesu import lots

flows = st.lists(
    st.builds(lots.Flow, st.integers(-40, 40).filter(bool), st.integers(0, 9)), max_size=12
)


def unit_by_unit(given: list[lots.Flow], *, is_fifo: bool) -> tuple[Fraction, Fraction, int]:
    """(gain, cost, units): every unit on its own, with what it cost."""
    held: list[Fraction] = []
    gain = Fraction(0)
    for flow in given:
        if flow.amount > 0:
            held += [Fraction(flow.price)] * flow.amount
            if not is_fifo:
                held = [sum(held, Fraction(0)) / len(held)] * len(held)
        for _ in range(-flow.amount):
            gain += flow.price - (held.pop(0) if held else 0)
    return gain, sum(held, Fraction(0)), len(held)


@hypothesis.settings(max_examples=300, derandomize=True, deadline=None)
@hypothesis.given(flows)
def test_both_ways_unit_by_unit(given: list[lots.Flow]) -> None:
    for ours, is_fifo in ((lots.fifo(given, 1), True), (lots.average(given, 1), False)):
        gain, cost, units = unit_by_unit(given, is_fifo=is_fifo)
        assert ours == lots.Basis(gain.__floor__(), cost.__floor__(), units)


def test_a_known_example() -> None:
    """2 at 10 and 2 at 20; 3 go at 30. FIFO: 90 - 40, average: 90 - 45."""
    given = [lots.Flow(2, 10), lots.Flow(2, 20), lots.Flow(-3, 30)]
    assert lots.fifo(given, 1) == lots.Basis(50, 20, 1)
    assert lots.average(given, 1) == lots.Basis(45, 15, 1)
    assert lots.fifo([lots.Flow(10**6, 10**18)], 10**6).cost == 10**18
