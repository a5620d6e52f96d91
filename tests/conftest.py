"""What all tests share: hypothesis with fixed seeds and no deadlines, and the log's defaults."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
import structlog

from tests import hashes, zygote

hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.load_profile("fixed")

pytest_plugins = ["tests.postgres"]


def pytest_configure(config: pytest.Config) -> None:
    """The workers, if there are any, share the hashes of the process that starts them."""
    if not hasattr(config, "workerinput"):
        kept = contextlib.ExitStack()
        kept.enter_context(hashes.kept())
        config.add_cleanup(kept.close)
    hashes.share()


def pytest_collection_finish() -> None:
    """What was collected stays: Python need not look through it for garbage again and again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _log_of_a_new_process() -> Iterator[None]:
    """A command that a test runs in this process sets the log's level: not for the next test."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
async def _commands_are_forked() -> AsyncIterator[None]:
    """The process that the tests' commands are forked from ends with the tests."""
    yield
    await zygote.shared.close()
