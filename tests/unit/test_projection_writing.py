"""Of several changes that an event makes to a row, the last one is its version."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies

from indexer.projections import encoded_rows
from indexer.vesu import state

CHANGES = strategies.lists(
    strategies.tuples(
        strategies.builds(state.EventKey, *[strategies.integers(0, 2)] * 3),
        strategies.sampled_from("abc"),
        strategies.integers(),
    )
)


@hypothesis.given(CHANGES, strategies.booleans())
def test_each_event_has_one_version_of_a_row(
    changes: list[tuple[state.EventKey, str, int]], in_order: bool
) -> None:
    if in_order:
        changes.sort(key=lambda change: change[0])
    last: dict[tuple[state.EventKey, str], int] = {}
    for event_key, key, value in changes:
        last[event_key, key] = value
    found = list(encoded_rows.last_of_each_event(changes))
    assert sorted(found) == sorted((*key, value) for key, value in last.items())
