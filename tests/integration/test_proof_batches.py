"""How many stored events are proved together: the writer waits while a batch is compared."""

from __future__ import annotations

import pytest

from indexer.audit import proof_batches
from tests.integration import proof_stage

LAST = 60
MOST = 20


async def test_batches_are_divided_where_they_hold_many_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every block is proved all the same, in order, and busy ones alone."""
    monkeypatch.setattr(proof_batches, "MOST_EVENTS", MOST)
    async with proof_stage.filled(LAST) as (node, connection):
        stored = dict(
            await connection.fetch(
                "SELECT block_number, count(*) FROM events GROUP BY 1 ORDER BY 1"
            )
        )
        outcomes = await proof_stage.sweep(node, connection, LAST)
    assert [number for outcome in outcomes for number in outcome.proofs] == list(range(LAST + 1))
    assert not any(outcome.gaps for outcome in outcomes)
    assert sum(stored.values()) == sum(outcome.events for outcome in outcomes)
    assert max(stored.values()) > MOST, "a block that is busy alone"
    for outcome in outcomes:
        assert outcome.events == sum(stored.get(number, 0) for number in outcome.proofs)
        busy = sum(number in stored for number in outcome.proofs)
        assert outcome.events <= MOST or busy == 1
    assert max(len(outcome.proofs) for outcome in outcomes) > 1
