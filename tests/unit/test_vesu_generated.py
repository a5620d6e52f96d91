"""Invented payloads for every event of every ABI: ours against starknet-py, and what must fail."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from indexer import errors
from indexer.vesu import decoders, kinds
from tests.unit import arguments, foreign, payloads
from tests.unit.test_vesu_decoders import V1_ABIS, V2_ABIS

Case = tuple[kinds.Kind, foreign.Layout]


def _cases() -> list[Case]:
    names = {kind: (name,) for kind, name in V2_ABIS.items()} | V1_ABIS
    found: dict[tuple, Case] = {}
    for kind, abi_names in names.items():
        for abi_name in abi_names:
            for layout in foreign.layouts(abi_name):
                lengths = tuple(len(payloads.all_limits(t)) for t in (layout.keys, layout.data))
                found.setdefault((kind, layout.path, lengths), (kind, layout))
    return list(found.values())


CASES = _cases()
every_event = pytest.mark.parametrize(
    ("kind", "layout"),
    CASES,
    ids=[f"{kind.value}-{layout.name}-{len(layout.path)}" for kind, layout in CASES],
)


def decode(
    kind: kinds.Kind, layout: foreign.Layout, keys: list[int], data: list[int]
) -> decoders.Decoded | None:
    return decoders.decode(kind, [*layout.path, *keys], data)


def shown(
    decoded: decoders.Decoded, layout: foreign.Layout, keys: list[int], data: list[int]
) -> dict[str, Any]:
    return arguments.of(decoded.layout, [*layout.path, *keys], data)


def test_all_events_of_all_abis_are_here() -> None:
    v2 = [layout for kind, layout in CASES if kind in V2_ABIS]
    print(f"{len(v2)} events of V2, {len(CASES) - len(v2)} of V1")
    assert len(v2) == 38
    assert len(CASES) - len(v2) >= 85


@every_event
def test_invented_payloads_mean_what_starknet_py_says(
    kind: kinds.Kind, layout: foreign.Layout
) -> None:
    @hypothesis.settings(max_examples=25 if kind in V2_ABIS else 10)
    @hypothesis.given(payloads.valid(layout.keys), payloads.valid(layout.data))
    def check(keys: list[int], data: list[int]) -> None:
        decoded = decode(kind, layout, keys, data)
        assert decoded is not None
        assert decoded.name == layout.name
        assert shown(decoded, layout, keys, data) == layout.decode(keys, data)

    check()


@every_event
def test_payloads_of_another_length_do_not_decode(kind: kinds.Kind, layout: foreign.Layout) -> None:
    @hypothesis.settings(max_examples=5)
    @hypothesis.given(
        payloads.valid(layout.keys),
        payloads.valid(layout.data),
        st.lists(payloads.edges(foreign.PRIME), min_size=1, max_size=3),
    )
    def check(keys: list[int], data: list[int], more: list[int]) -> None:
        wrong = [(keys + more, data), (keys, data + more), (keys + more, data + more)]
        wrong += [(keys[:end], data) for end in range(len(keys))]
        wrong += [(keys, data[:end]) for end in range(len(data))]
        for wrong_keys, wrong_data in wrong:
            with pytest.raises(errors.UndecodableEventError):
                decode(kind, layout, wrong_keys, wrong_data)

    check()


@every_event
def test_each_felt_is_held_to_its_type(kind: kinds.Kind, layout: foreign.Layout) -> None:
    key_limits, data_limits = payloads.all_limits(layout.keys), payloads.all_limits(layout.data)
    zeros = [0] * len(key_limits), [0] * len(data_limits)
    assert decode(kind, layout, *zeros) is not None
    for part, limits in enumerate((key_limits, data_limits)):
        for at, limit in enumerate(limits):
            payload = [list(felts) for felts in zeros]
            payload[part][at] = limit
            with pytest.raises(errors.UndecodableEventError):
                decode(kind, layout, *payload)
            if payloads.has_text(layout.keys):
                continue
            payload[part][at] = limit - 1
            decoded = decode(kind, layout, *payload)
            assert decoded is not None
            assert shown(decoded, layout, *payload) == layout.decode(*payload)


ONE_LENGTH = [
    (kind, layout)
    for kind, layout in CASES
    if not payloads.has_text(layout.keys) and layout.name != "AccrueFees"
]


@hypothesis.settings(max_examples=300)
@hypothesis.given(
    st.sampled_from(ONE_LENGTH),
    st.lists(payloads.edges(foreign.PRIME), max_size=12),
    st.lists(payloads.edges(foreign.PRIME), max_size=60),
)
def test_felts_of_no_layout_are_refused_by_name(
    case: Case, keys: list[int], data: list[int]
) -> None:
    kind, layout = case
    wanted = [len(payloads.all_limits(types)) for types in (layout.keys, layout.data)]
    hypothesis.assume([len(keys), len(data)] != wanted)
    with pytest.raises(
        errors.UndecodableEventError, match=f"{layout.name} of {kind.value}: expected"
    ):
        decode(kind, layout, keys, data)
