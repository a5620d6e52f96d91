"""What V2's decoders refuse: felts that a type does not hold; the error says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from indexer import errors
from indexer.cairo import selector
from indexer.vesu import decoders, kinds
from indexer.vesu.v2 import events as events_v2
from tests.unit import arguments, foreign, recorded
from tests.unit import payloads as limits_of

BOUNDARIES = [
    *(0, 1, 2, 3, 30, 31, 2**32 - 1, 2**32, 2**64 - 1, 2**64),
    *(2**128 - 1, 2**128, 2**248, foreign.PRIME - 1),
]
Payload = tuple[list[int], list[int]]


def samples() -> dict[tuple[kinds.Kind, str], recorded.Event]:
    """One recorded event of each V2 kind and name."""
    found: dict[tuple[kinds.Kind, str], recorded.Event] = {}
    for event in recorded.events(recorded.DEVNET_A):
        decoded = decoders.decode(event.kind, event.keys, event.data)
        assert decoded is not None
        found.setdefault((event.kind, decoded.name), event)
    return found


SAMPLES = samples()


def sample(name: str) -> recorded.Event:
    return SAMPLES[kinds.Kind.POOL_V2, name]


def variants(felts: list[int], *, first: int) -> Iterator[list[int]]:
    """The felts cut short, made longer, and with each felt from `first` on at a boundary."""
    for at in range(first, len(felts)):
        yield felts[:at]
        for boundary in BOUNDARIES:
            yield [*felts[:at], boundary, *felts[at + 1 :]]
    yield [*felts, 0]


def payloads(event: recorded.Event) -> Iterator[Payload]:
    for keys in variants(event.keys, first=1):
        yield keys, event.data
    for data in variants(event.data, first=0):
        yield event.keys, data


def by_decoder(kind: kinds.Kind, payload: Payload) -> object:
    try:
        decoded = decoders.decode(kind, *payload)
    except errors.UndecodableEventError:
        return "refused"
    return decoded and arguments.of(decoded.layout, *payload)


def by_starknet_py(kind: kinds.Kind, payload: Payload) -> object:
    """What starknet-py's serializers make of the felts that the layout has, none left over."""
    keys, data = payload
    found = foreign.find((kind.value,), payload[0])
    if not found:
        return None
    (layout,) = found
    keys = keys[len(layout.path) :]
    if not limits_of.fits(layout.keys, keys) or not limits_of.fits(layout.data, data):
        return "refused"
    # It takes neither text with leading zeros nor bytes that are no letters, which tokens have.
    return "text" if limits_of.has_text(layout.keys) else layout.decode(keys, data)


@pytest.mark.parametrize(("kind", "name"), SAMPLES)
def test_what_starknet_py_accepts_is_accepted_and_no_more(kind: kinds.Kind, name: str) -> None:
    refused = 0
    for payload in payloads(SAMPLES[kind, name]):
        answer, expected = by_decoder(kind, payload), by_starknet_py(kind, payload)
        if expected == "text":
            assert isinstance(answer, dict), payload
        else:
            assert answer == expected, payload
        refused += answer == "refused"
    assert refused >= 2


@pytest.mark.parametrize(
    ("name", "at", "felt", "reason"),
    [
        ("UpdateContext", 27, 2**128, "debt_asset_config: reserve: a u256 has a limb of more"),
        ("UpdateContext", 12, 2, "collateral_asset_config: is_legacy: a bool is 2"),
        ("UpdateContext", 13, 2**64, "collateral_asset_config: last_updated: 1844674407370955"),
        ("UpdateContext", 49, 7, "debt_asset_price: is_valid: a bool is 7"),
        ("ModifyPosition", 5, 2, "collateral_shares_delta: an i257 has the sign 2"),
        ("ModifyPosition", 6, 2**200, "debt_delta: a u256 has a limb of more than 128 bits"),
        ("SetPairConfig", 2, 2**128, "pair_config: debt_cap: 340282366920938463463374607431768211"),
        ("SetInterestRateConfig", 15, 2**128, "interest_rate_config: target_rate_percent: a u256"),
    ],
)
def test_the_error_names_the_member(name: str, at: int, felt: int, reason: str) -> None:
    event = sample(name)
    data = [*event.data[:at], felt, *event.data[at + 1 :]]
    with pytest.raises(errors.UndecodableEventError, match=f"^{name} of pool_v2: {reason}"):
        decoders.decode(event.kind, event.keys, data)


def test_the_error_counts_the_felts() -> None:
    event = sample("ModifyPosition")
    with pytest.raises(
        errors.UndecodableEventError,
        match=r"^ModifyPosition of pool_v2: expected 3 key and 12 data felts, found 2 and 13$",
    ):
        decoders.decode(event.kind, event.keys[:-1], [*event.data, 0])


def test_a_name_among_the_keys_must_end_where_they_end() -> None:
    event = SAMPLES[kinds.Kind.POOL_FACTORY_V2, "CreateVToken"]
    with pytest.raises(errors.UndecodableEventError, match="1 felts are too many"):
        decoders.decode(event.kind, [*event.keys, 0], event.data)
    with pytest.raises(errors.UndecodableEventError, match="v_token_symbol: a ByteArray is cut"):
        decoders.decode(event.kind, event.keys[:-1], event.data)


def test_a_negative_zero_is_zero() -> None:
    event = sample("ModifyPosition")
    decoded = decoders.decode(event.kind, event.keys, [0, 0, 1] * 4)
    assert decoded is not None
    assert isinstance(decoded.event, events_v2.ModifyPosition)
    assert (decoded.event.collateral_delta, decoded.event.nominal_debt_delta) == (0, 0)
    assert selector.of("ModifyPosition") == event.keys[0]
