"""V1: whatever a view of a stranger's pool answers, no other pool changes and `run` goes on.

Each view that the fold or the price sampler asks of a pool, its extension's and its vToken's, is
answered in each of these ways, for a pool of its own.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from indexer import errors
from indexer.cairo import selector
from tests.hostile import events_v1, grown_v1

VIEWS = (
    *("asset_config_unsafe", "pool_owner", "interest_rate_config", "shutdown_status"),
    *("position_unsafe", "price", "pool_name", "v_token_for_collateral_asset"),
    *("name", "symbol"),
)
TOP = events_v1.PRIME - 1
ANSWERS: dict[str, grown_v1.Answer] = {
    "nothing": [],
    "a felt": [TOP],
    "zeros": [0] * 22,
    "ones": [1] * 22,
    "limbs of their maximum": [2**128 - 1] * 22,
    "limbs that are none": [2**128] * 22,
    "felts of the field's maximum": [TOP] * 22,
    "more felts than any view has": [1] * 100_000,
    "a refusal": errors.RpcError("Contract error", 40),
    "an internal error": errors.RpcError("Internal error", -32603),
    "an error in words of its own": errors.RpcError("execution reverted", -32000),
}
UNANSWERED = ("an internal error", "an error in words of its own")
"""What no node answers holds up its block, for two minutes in all."""

SETS = {
    "answered": [name for name in ANSWERS if name not in UNANSWERED],
    "unanswered": list(UNANSWERED),
}
RESTED_ON = {"asset_config_unsafe", "pool_owner", "interest_rate_config", "shutdown_status"}
"""Views that a number rests on, of those that the fold asks of every extension's pools."""

NOTHING: events_v1.Event = (0, [], [])


class Pools:
    """A pool for each view and answer; every other view of it is answered honestly."""

    def __init__(self, answers: list[str]) -> None:
        asked = itertools.product(VIEWS, answers)
        self.by_id = dict(enumerate(asked, events_v1.FIRST_POOL))
        self._views = {selector.of(view): view for view in VIEWS}

    def answer(self, pool: int, view: int, _: int) -> grown_v1.Answer | None:
        """What a pool, or its vToken, answers."""
        asked, answer = self.by_id[pool]
        return ANSWERS[answer] if self._views.get(view) == asked else None


@pytest.mark.parametrize(
    "answers", ["answered", pytest.param("unanswered", marks=pytest.mark.heavy)]
)
@pytest.mark.parametrize("extension", grown_v1.FIRST_BLOCK)
@pytest.mark.timeout(1200)
async def test_no_answer_changes_another_pool(extension: str, answers: str, tmp_path: Path) -> None:
    strangers, pools = grown_v1.strangers_on(extension), Pools(SETS[answers])
    cases = [events_v1.Case(pool, view, None, NOTHING) for pool, (view, _) in pools.by_id.items()]

    def told(case: events_v1.Case, now: int) -> list[events_v1.Event]:
        return list(strangers.asking(case.pool, now))

    grown = grown_v1.Grown(strangers, cases, told, tmp_path, pools.answer)
    reasons, said = await grown_v1.hold(grown)
    frozen = {pools.by_id[pool] for pool in reasons}
    print(*sorted(frozen), sep="\n")
    # No number rests on names, nor a fold on a price.
    assert not {view for view, _ in frozen} & {"price", "pool_name", "name", "symbol"}
    if answers == "unanswered":
        assert {(view, answer) for view in RESTED_ON for answer in UNANSWERED} & frozen
        assert '"event": "view_unanswered"' in said
    else:
        assert len(frozen) < len(cases) / 2
