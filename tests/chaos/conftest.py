"""Fixtures of the chaos tests: devnet-a served, and what it gives undisturbed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from indexer.recording import playhead, server
from tests.acceptance import truth
from tests.acceptance.conftest import indexed_once, indexed_url, recorded

__all__ = ["indexed_once", "indexed_url", "recorded"]


@pytest.fixture
async def node(recorded: truth.Recorded) -> AsyncIterator[server.RecordingServer]:
    """devnet-a, its head at block 20."""
    loaded = recorded.chain
    async with server.RecordingServer(loaded, playhead.Playhead.at_block(loaded, 20)) as served:
        yield served
