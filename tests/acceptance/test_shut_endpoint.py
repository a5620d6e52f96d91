"""A second endpoint that is shut costs a doubtful chain no more than some of its looks."""

from __future__ import annotations

from typing import Any

from indexer.recording import options, playhead, server
from tests.acceptance import stage, truth
from tests.acceptance.test_http import daemon

MOST_REFUSED = 60
"""Requests: five tries at each of few probes. Thirty looks that each probe it make 150."""


async def test_a_deep_rollback_does_not_wait_for_a_shut_endpoint_at_every_look(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """The first of two is shut, then the chain goes back below our block on another branch."""
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 84, story=True)
    fork = loaded.forks[0]
    refused = 0
    is_shut = False

    def shut(_method: str, _params: Any) -> options.Fault | None:
        nonlocal refused
        refused += is_shut
        return options.Fault(status=403) if is_shut else None

    async with (
        server.RecordingServer(loaded, head, options.ServerOptions(fault=shut)) as first,
        server.RecordingServer(loaded, head) as second,
    ):
        environ = stage.environment(
            recorded,
            f"{first.url},{second.url}",
            migrated_database_url,
            VESU_NODE_CONFIRM_ROLLBACK_DEPTH="3",
            VESU_NODE_POLL_INTERVAL_SECONDS="0.02",
        )
        async with daemon(environ) as running:
            head.go_to(fork.last, branch=1)
            await running.health(200, committed_block=fork.last)
            is_shut = True
            head.go_to(fork.last - 1)
            await running.health(200, committed_block=fork.last - 1)
            code, _, log = await running.stop()
    assert code == 0, log
    assert "rollback_unconfirmed" in log
    assert 5 <= refused <= MOST_REFUSED
