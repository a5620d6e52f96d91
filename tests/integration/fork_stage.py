"""The recording's fork: it leaves the main chain at block 84 and ends at block 91.

A module whose tests begin with a database that holds the fork takes the fixtures over:
`forked, url = fork_stage.forked, fork_stage.url`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import postgres
from tests.integration import daemon_stage
from tests.integration.daemon_stage import Following, Playhead, recording

FORK = daemon_stage.recording().forks[0]
COMMON, TIP = FORK.common, FORK.last
BEYOND = 100
DEEP = {"VESU_NODE_CONFIRM_ROLLBACK_DEPTH": "3"}
PATIENT = {"VESU_NODE_CONFIRM_LOOKS": "100000"}
BRIEF = {"VESU_NODE_CONFIRM_LOOKS": "3"}


def on_fork(**settings: Any) -> Playhead:
    """A head on the fork's last block."""
    head = Playhead.at_block(recording(), COMMON, story=True, **settings)
    head.go_to(TIP, branch=1)
    return head


def on_main(block: int = BEYOND) -> Playhead:
    """A head on the main chain, which never saw the fork."""
    return Playhead.at_block(recording(), block)


@pytest.fixture(scope="module")
async def forked() -> AsyncIterator[str]:
    async with daemon_stage.filled(on_fork(), TIP) as url:
        yield url


@pytest.fixture
async def url(forked: str) -> AsyncIterator[str]:
    """A database that stands on the fork's last block."""
    async with postgres.fresh_database(copy_of=forked) as made:
        yield made


@pytest.fixture(scope="module")
async def truth() -> AsyncIterator[str]:
    """A database that only ever saw the main chain."""
    async with daemon_stage.filled(on_main(), BEYOND) as made:
        yield made


async def equal(url: str, truth: str, block: int = BEYOND) -> None:
    assert await daemon_stage.digest_at(url, block) == await daemon_stage.digest_at(truth, block)


async def is_settled(running: Following) -> None:
    seen = await running.connection.fetchrow("SELECT * FROM indexer_status")
    assert seen is not None
    doubt = seen["is_suspect"], seen["suspect_reason"], seen["suspect_since"]
    assert doubt == (False, None, None)


async def forks(running: Following) -> int:
    return int(await running.ask("SELECT fork_counter FROM cursor"))
