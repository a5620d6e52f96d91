"""How many stored events are proved together: the writer waits while a batch is compared."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.audit import log_verification, proof_batches
from indexer.log import verified
from tests.integration import chain_stage, daemon_stage
from tests.integration.daemon_stage import Playhead, recording, serving

LAST = 60
MOST = 20


async def test_batches_are_divided_where_they_hold_many_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every block is proved all the same, in order, and busy ones alone."""
    monkeypatch.setattr(proof_batches, "MOST_EVENTS", MOST)
    head = Playhead.at_block(recording(), LAST)
    async with (
        daemon_stage.filled(head, LAST) as url,
        serving(head) as node,
        chain_stage.connected(node.url) as connected,
    ):
        connection = await asyncpg.connect(url)
        try:
            stored = dict(
                await connection.fetch(
                    "SELECT block_number, count(*) FROM events GROUP BY 1 ORDER BY 1"
                )
            )
            committed = await log_verification.committed(connection)
            everything = proof_batches.of_spans([verified.Span(0, LAST)])
            factory = recording().manifest["contracts"]["pool_factory"]["address"]
            outcomes = [
                outcome
                async for outcome in log_verification.sweep(
                    connected,
                    connection,
                    [int(factory, 16)],
                    committed,
                    everything,
                )
            ]
        finally:
            await connection.close()
    assert [number for outcome in outcomes for number in outcome.proofs] == list(range(LAST + 1))
    assert not any(outcome.gaps for outcome in outcomes)
    assert sum(stored.values()) == sum(outcome.events for outcome in outcomes)
    assert max(stored.values()) > MOST, "a block that is busy alone"
    for outcome in outcomes:
        assert outcome.events == sum(stored.get(number, 0) for number in outcome.proofs)
        busy = sum(number in stored for number in outcome.proofs)
        assert outcome.events <= MOST or busy == 1
    assert max(len(outcome.proofs) for outcome in outcomes) > 1
