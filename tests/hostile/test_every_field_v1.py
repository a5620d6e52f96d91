"""V1: each felt of each event that is emitted for a stranger's pool, at the limits of its types."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.hostile import chain, events_v1, grown_v1


@pytest.fixture(params=[0.04, pytest.param(1.0, marks=pytest.mark.heavy)])
def share(request: pytest.FixtureRequest) -> float:
    """One case of twenty-five, or all of them."""
    return float(request.param)


@pytest.mark.parametrize(
    "extension",
    # test_views_v1.py plays a chain of V1.0's extension in every cut, too.
    ["extension_v0", pytest.param("extension_v10", marks=pytest.mark.heavy), "extension_v11"],
)
@pytest.mark.timeout(1800)
async def test_no_field_at_its_limits_changes_another_pool(
    extension: str, share: float, tmp_path: Path
) -> None:
    strangers = grown_v1.strangers_on(extension)
    third = grown_v1.FIRST_BLOCK[extension] + 2
    dice = random.Random(grown_v1.SEED)
    cases = [
        case
        for case in strangers.cases(strangers.recorded.timestamps[third])
        if case.changed is None or dice.random() < share
    ]

    def told(case: events_v1.Case, now: int) -> list[events_v1.Event]:
        # As it should be, a liquidation takes what the market told in its transaction.
        is_honest = (case.event, case.changed) == ("LiquidatePosition", None)
        return [*([strangers.context(case.pool, now)] if is_honest else []), case.emitted]

    reasons, _ = await grown_v1.hold(grown_v1.Grown(strangers, cases, told, tmp_path))
    require_told(reasons, cases)


def require_told(reasons: dict[int, str], cases: list[events_v1.Case]) -> None:
    """Pools are frozen for what was changed in an event alone, and not most of them."""
    print(f"{len(cases)} pools, {len(reasons)} frozen")
    frozen = [case for case in cases if case.pool in reasons]
    as_they_should_be = [case for case in frozen if case.changed is None]
    assert not as_they_should_be, [(case.event, reasons[case.pool]) for case in as_they_should_be]
    assert 0 < len(frozen) < len(cases) / 2
    chain.require_plain(reasons.values())
