"""Who is unfit for a moment is no witness meanwhile, and no other endpoint gains by it.

The database holds the recording's fork; the second endpoint holds it, too, and refuses all that
it is asked at first. One that was unfit is left alone for longer than these tests' looks take.
"""

from __future__ import annotations

from typing import Any

from tests.integration import daemon_stage, fork_stage
from tests.integration.daemon_stage import following, serving
from tests.integration.faults import Fault
from tests.integration.fork_stage import BRIEF, COMMON, DEEP, forks, on_fork, on_main

LOOKS = int(BRIEF["VESU_NODE_CONFIRM_LOOKS"])


forked, url = fork_stage.forked, fork_stage.url


class Shut:
    """Refuses its first requests, as many as one probe makes; counts how often it told its head."""

    def __init__(self) -> None:
        self.left = daemon_stage.QUICK.attempts
        self.heads = 0

    def __call__(self, method: str, params: Any) -> Fault | None:
        if self.left:
            self.left -= 1
            return Fault(status=403)
        self.heads += isinstance(params, dict) and params.get("block_id") == "latest"
        return None


async def test_a_low_head_is_not_believed_because_another_was_unfit_a_moment_ago(url: str) -> None:
    lagging, shut = on_fork(), Shut()
    lagging.go_to(COMMON + 2, branch=1)
    async with (
        serving(lagging) as first,
        serving(on_fork(), fault=shut) as second,
        following(url, first.url, second.url, **BRIEF) as running,
    ):
        await running.says("failed_over")
        assert running.said("endpoint_unfit") is not None
        assert shut.left == 0
        assert running.node.source.name.startswith(second.url)
        assert await forks(running) == 0


async def test_who_was_unfit_at_first_is_overruled_after_as_many_looks_as_any_other(
    url: str,
) -> None:
    """It holds our branch and stands still, which one look cannot show."""
    shut = Shut()
    async with (
        serving(on_main()) as first,
        serving(on_fork(), fault=shut) as second,
        following(url, first.url, second.url, **DEEP, **BRIEF) as running,
    ):
        await running.says("endpoint_overruled")
        assert running.said("endpoint_unfit") is not None
        assert shut.heads > LOOKS
        await running.until(lambda: running.ask("SELECT fork_counter = 1 FROM cursor"))


async def test_who_is_unfit_is_not_probed_at_every_look(url: str) -> None:
    shut = Shut()
    shut.left = 10_000
    asked = shut.left
    async with (
        serving(on_main()) as first,
        serving(on_fork(), fault=shut) as second,
        following(url, first.url, second.url, **DEEP, VESU_NODE_CONFIRM_LOOKS="50") as running,
    ):
        await running.says("rollback_unconfirmed")
        asked -= shut.left
        # The first look, the one that decides, and what a slow machine makes of the time between.
        assert 2 * daemon_stage.QUICK.attempts <= asked < 25 * daemon_stage.QUICK.attempts
