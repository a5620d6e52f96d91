"""Whoever proves blocks keeps the log from moving for moments alone, come what may."""

from __future__ import annotations

import time

import asyncpg
import pytest

from indexer.audit import log_verification
from indexer.store import locks
from tests.integration import daemon_stage
from tests.integration.daemon_stage import Playhead, following, recording, serving

FIRST, LAST = 10, 20


async def test_a_prover_that_falls_asleep_does_not_hold_the_writer_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A verify that is stopped (Ctrl-Z), or whose host vanishes, in the midst of its note."""
    monkeypatch.setattr(locks, "IDLE_LIMIT", "1s")
    async with daemon_stage.filled(Playhead.at_block(recording(), FIRST), FIRST) as url:
        asleep = await asyncpg.connect(url)
        stands = await log_verification.committed(asleep)
        await asleep.execute("BEGIN")
        await log_verification.hold(asleep, stands)
        began = time.monotonic()
        async with (
            serving(Playhead.at_block(recording(), LAST)) as node,
            following(url, node.url, until_block=LAST) as running,
        ):
            assert await running.ended() is None
        assert time.monotonic() - began > 0.5
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await asleep.execute("COMMIT")
        asleep.terminate()
