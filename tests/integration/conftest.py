"""What the daemon's tests in this folder share: an empty database, and an undisturbed run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from indexer import metrics
from tests import postgres
from tests.integration import daemon_stage
from tests.integration.daemon_stage import LAST, Playhead, recording


@pytest.fixture(autouse=True)
def _no_trouble_yet() -> None:
    """Trouble is counted by endpoint, and a node of an earlier test may have had the same port."""
    metrics.node_trouble.clear()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A migrated database without rows."""
    async with postgres.fresh_database(migrated=True) as made:
        yield made


@pytest.fixture(scope="module")
async def undisturbed() -> AsyncIterator[str]:
    """The digest at block LAST of a database that an honest node filled."""
    async with daemon_stage.filled(Playhead.at_block(recording(), LAST), LAST) as made:
        yield await daemon_stage.digest_at(made, LAST)
