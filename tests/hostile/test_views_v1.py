"""V1: whatever a view of a stranger's pool answers, no other pool changes and `run` goes on.

Each view that the fold or the price sampler asks of a pool, its extension's and its vToken's, is
answered in each of these ways, for a pool of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from indexer import errors
from indexer.cairo import selector
from tests.hostile import chain, events_v1, grown_v1

OF_EVERY = ("asset_config_unsafe", "interest_rate_config", "shutdown_status", "pool_owner", "price")
VIEWS = {
    "extension_v0": (
        *OF_EVERY,
        "position_unsafe",
        "v_token_for_collateral_asset",
        "name",
        "symbol",
    ),
    "extension_v10": (*OF_EVERY, "position_unsafe", "pool_name", "name", "symbol"),
    "extension_v11": (*OF_EVERY, "pool_name", "name", "symbol"),
}
"""What is asked of a pool, by its extension: all of it, as the test holds.

Genesis' pools have no names, and their vTokens are named by a view; V1.1 tells what transfers move.
CL and EK, of which no recording has a pool, are of the kind of extension_v10 and asked the same.
"""

TOP = events_v1.PRIME - 1
ANSWERS: dict[str, grown_v1.Answer] = {
    "nothing": [],
    "a felt": [TOP],
    "zeros": [0] * 22,
    "ones": [1] * 22,
    "limbs of their maximum": [2**128 - 1] * 22,
    "limbs that are none": [2**128] * 22,
    "felts of the field's maximum": [TOP] * 22,
    "more felts than any view has": [1] * 20_000,
    "a refusal": errors.RpcError("Contract error", 40),
}
"""How each view is answered; what no node answers is in test_unanswered_views."""

NOTHING: events_v1.Event = (0, [], [])


class Pools:
    """A pool for each view and answer; every other view of it is answered honestly."""

    def __init__(self, views: Sequence[str]) -> None:
        self.by_id = dict(enumerate(itertools.product(views, ANSWERS), events_v1.FIRST_POOL))
        self.asked: set[int] = set()
        """The selectors of all views that were asked."""

    def answer(self, pool: int, view: int, _: int) -> grown_v1.Answer | None:
        """What a pool, or its vToken, answers."""
        self.asked.add(view)
        asked, answer = self.by_id[pool]
        return ANSWERS[answer] if selector.of(asked) == view else None


@pytest.mark.parametrize(
    "extension",
    # test_every_field_v1.py plays chains of the other two in every cut.
    [
        pytest.param(one, marks=[] if one == "extension_v10" else [pytest.mark.heavy])
        for one in VIEWS
    ],
)
@pytest.mark.timeout(1800)
async def test_no_answer_changes_another_pool(extension: str, tmp_path: Path) -> None:
    strangers, pools = grown_v1.strangers_on(extension), Pools(VIEWS[extension])
    cases = [events_v1.Case(pool, view, None, NOTHING) for pool, (view, _) in pools.by_id.items()]

    def told(case: events_v1.Case, now: int) -> list[events_v1.Event]:
        return list(strangers.asking(case.pool, now))

    grown = grown_v1.Grown(strangers, cases, told, tmp_path, pools.answer)
    reasons, _ = await grown_v1.hold(grown)
    frozen = {pools.by_id[pool] for pool in reasons}
    print(*sorted(frozen), sep="\n")
    assert pools.asked == {selector.of(view) for view in VIEWS[extension]}
    # No number rests on names, nor a fold on a price.
    assert not {view for view, _ in frozen} & {"price", "pool_name", "name", "symbol"}
    assert len(frozen) < len(cases) / 2
    chain.require_plain(reasons.values())
