"""What an asset that went in and out of a position cost: realised gains by average and by FIFO.

Pure and exact: amounts in raw units, prices and USD x 10^18, costs as fractions until they are
shown. Only what was put in has a cost: what interest added is taken out last and cost nothing.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

import msgspec


class Flow(NamedTuple):
    """Raw units that went in (positive) or out (negative), at a price x 10^18 USD a token."""

    amount: int
    price: int


class Basis(msgspec.Struct, frozen=True):
    """Realised gain, and the cost and units of what was put in and is still there.

    `gain` and `cost` x 10^18 USD, rounded down; `units` raw.
    """

    gain: int
    cost: int
    units: int


def fifo(flows: Iterable[Flow], scale: int) -> Basis:
    """Realised gain where the units that came in first go out first."""
    lots: collections.deque[tuple[int, int]] = collections.deque()
    gain = Fraction(0)
    for flow in flows:
        if flow.amount > 0:
            lots.append((flow.amount, flow.price))
            continue
        left = -flow.amount
        gain += Fraction(left * flow.price, scale)
        while left and lots:
            units, price = lots.popleft()
            taken = min(units, left)
            gain -= Fraction(taken * price, scale)
            left -= taken
            if units > taken:
                lots.appendleft((units - taken, price))
    cost = sum((Fraction(units * price, scale) for units, price in lots), Fraction(0))
    return Basis(gain.__floor__(), cost.__floor__(), sum(units for units, _ in lots))


def average(flows: Iterable[Flow], scale: int) -> Basis:
    """Realised gain where units go out at the average cost of those that are there."""
    gain, cost, units = Fraction(0), Fraction(0), 0
    for flow in flows:
        if flow.amount > 0:
            cost += Fraction(flow.amount * flow.price, scale)
            units += flow.amount
            continue
        gain += Fraction(-flow.amount * flow.price, scale)
        taken = min(units, -flow.amount)
        if taken:
            part = cost * taken / units
            gain, cost, units = gain - part, cost - part, units - taken
    return Basis(gain.__floor__(), cost.__floor__(), units)
