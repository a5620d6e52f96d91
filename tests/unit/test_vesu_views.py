"""The catalogue of views against every recorded answer, and against answers of another shape."""

from __future__ import annotations

import gzip
import json

import pytest

from indexer.vesu import kinds, state, views
from tests.unit import recorded

CATALOGUE = [value for value in vars(views).values() if isinstance(value, views.View)] + [
    *views.SETTINGS_V2
]
POOL = state.PoolKey(0xA, 0xB)
EXTENSIONS = {
    0xE: kinds.Kind.EXTENSION_V1_1,
    0xF: kinds.Kind.EXTENSION_V1_0_GENESIS,
}


def test_every_recorded_answer_is_read() -> None:
    """By name and number of arguments, V1's being asked with the pool's id first."""
    known = {view.name: view for view in CATALOGUE}
    counted: dict[str, int] = dict.fromkeys(known, 0)
    for folder in (recorded.DEVNET_A, *recorded.V1_RECORDINGS):
        with gzip.open(folder / "calls.jsonl.gz", "rt") as lines:
            for line in lines:
                call = json.loads(line)
                view = known.get(call["name"])
                if view is None or "result" not in call:
                    continue
                if (view.name, len(call["calldata"])) == ("extension", 0):
                    continue  # a vToken's own view of that name
                felts = [int(felt, 16) for felt in call["result"]]
                values = views.read(view.name, felts)
                assert set(values) == {column for column, _ in view.result}
                counted[view.name] += 1
    print(counted)
    assert all(counted.values()), counted


@pytest.mark.parametrize("view", CATALOGUE, ids=lambda view: view.name)
def test_an_answer_of_another_shape_is_refused(view: views.View) -> None:
    for felts in ([], [0] * 99):
        with pytest.raises(ValueError, match="felts"):
            views.read(view.name, felts)


def test_limbs_and_bools_out_of_range_are_refused() -> None:
    assert views.read(views.PRICE.name, [5, 1, 1]) == {"price": 5 + (1 << 128), "price_is_valid": 1}
    for felts in ([1 << 128, 0, 1], [5, 0, 2]):
        with pytest.raises(ValueError, match=r"bits|bool"):
            views.read(views.PRICE.name, felts)


def home_with(extension: int | None) -> views.PoolContracts:
    pool = state.ContractState(kinds.Kind.POOL_V1_1, POOL, extension=extension)
    return views.contracts_of(state.World(pools={POOL: pool}), POOL, EXTENSIONS)


def test_v2_is_asked_in_the_pool_and_v1_in_singleton_and_extension() -> None:
    v2 = views.contracts_of(state.World(), state.v2_pool(0xC), EXTENSIONS)
    assert [(one.contract, one.calldata) for one in views.of_asset(9, v2, 7)] == [(0xC, (7,))] * 3
    v1 = home_with(0xE)
    asked = [(one.contract, one.view, one.calldata) for one in views.of_asset(9, v1, 7)]
    assert asked == [
        (0xA, "asset_config_unsafe", (0xB, 7)),
        (0xE, "interest_rate_config", (0xB, 7)),
        (0xE, "price", (0xB, 7)),
    ]


def test_a_strange_extension_is_not_asked_and_genesis_has_no_debt_caps() -> None:
    for extension in (None, 0xD):
        strange = home_with(extension)
        names = [
            one.view for one in (*views.of_asset(9, strange, 7), *views.of_pair(9, strange, 7, 8))
        ]
        assert names == ["asset_config_unsafe", "ltv_config"]
        assert views.price_of(9, strange, 7) == ()
    asked = {extension: views.of_pair(9, home_with(extension), 7, 8) for extension in (0xE, 0xF)}
    names_of = {key: [one.view for one in found] for key, found in asked.items()}
    assert "debt_caps" in names_of[0xE]
    assert names_of[0xF] == [name for name in names_of[0xE] if name != "debt_caps"]
