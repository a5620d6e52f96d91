"""Felts and answers brought into canonical form; whatever cannot be true is refused."""

from __future__ import annotations

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from indexer import errors, urls
from indexer.cairo import felt252
from indexer.chain import wire

KEY = "0123456789abcdef"


@hypothesis.given(strategies.integers(0, felt252.PRIME - 1), strategies.integers(0, 64))
def test_every_spelling_of_a_felt_becomes_the_canonical_one(value: int, width: int) -> None:
    text = f"{value:0{width}x}"
    for spelling in ("0x" + text, "0X" + text, "0x" + text.upper()):
        assert wire.felt(spelling) == hex(value)


FELTS = strategies.integers(0, felt252.PRIME - 1).map(hex)
ODD = strategies.one_of(
    strategies.sampled_from(
        [
            "",
            "0x",
            "0x00",
            "0X1",
            "0xA",
            "0x1,0x2",
            ",",
            "0x1\n",
            hex(felt252.PRIME),
            "0x8" + "0" * 62,
        ]
    ),
    strategies.text(alphabet="0123456789abcdefxX,\u0663", max_size=66),
    strategies.integers(2**251 - 4, felt252.PRIME + 4).map(hex),
)


@hypothesis.given(strategies.lists(FELTS | ODD, max_size=12))
def test_a_list_of_felts_is_each_of_its_felts(texts: list[str]) -> None:
    try:
        each = [wire.felt(text) for text in texts]
    except errors.InconsistentAnswerError:
        with pytest.raises(errors.InconsistentAnswerError, match="holds no felt"):
            wire.felts(texts)
    else:
        assert wire.felts(texts) == [int(text, 16) for text in each]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "1",
        "12ab",
        hex(felt252.PRIME),
        "0x" + "f" * 64,
        "0x" + "0" * 64 + "1",
        "0x-1",
        "-0x1",
        "0x+1",
        "0x 1",
        "0x1 ",
        "0x1\n",
        "0x1_0",
        "0xg",
        "0x١",
    ],
)
def test_what_is_no_felt_is_refused(text: str) -> None:
    for read in (wire.felt, lambda one: wire.felts([one])):
        with pytest.raises(errors.InconsistentAnswerError, match="holds no felt"):
            read(text)


@hypothesis.given(strategies.text(max_size=70))
def test_no_text_is_anything_but_a_felt_or_refused(text: str) -> None:
    try:
        value = int(wire.felt(text), 16)
    except errors.InconsistentAnswerError:
        return
    assert 0 <= value < felt252.PRIME
    assert value == int(text, 16)


def test_a_result_of_another_shape_is_refused() -> None:
    for raw in (b"null", b'{"events":null}', b'{"events":[{"keys":[1]}]}', b"[]"):
        with pytest.raises(errors.InconsistentAnswerError, match="page of events has no known"):
            wire.decoded(wire.page_decoder, msgspec.Raw(raw), "page of events")


def test_unknown_fields_and_nulls_do_no_harm() -> None:
    raw = b'{"events":[],"continuation_token":null,"new":{"a":[1]}}'
    page = wire.decoded(wire.page_decoder, msgspec.Raw(raw), "page")
    assert page == wire.EventsPage([])


def test_the_commitment_of_an_old_block_is_not_told() -> None:
    old = wire.Header("0x01", "0x0", 5, 9, event_count=3, event_commitment="0x0")
    assert wire.header(old).event_commitment is None
    empty = wire.Header("0x01", "0x0", 5, 9, event_count=0, event_commitment="0x0")
    assert wire.header(empty).event_commitment == "0x0"
    assert wire.header(empty).hash == "0x1"


def test_a_fee_that_is_no_felt_is_refused() -> None:
    receipt = wire.Receipt("0x1", wire.Fee("12", "FRI"), "SUCCEEDED")
    block = wire.Block("0x1", "0x0", 5, 9, transactions=[wire.WithReceipt(receipt)])
    with pytest.raises(errors.InconsistentAnswerError, match="holds no felt"):
        wire.block(block)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"https://node.example/v2/{KEY}", "https://node.example/***"),
        (f"https://node.example?key={KEY}", "https://node.example/***"),
        (f"https://me:{KEY}@node.example:8443/", "https://node.example:8443"),
        (f"http://[::1]:5050/rpc/{KEY}", "http://[::1]:5050/***"),
        (f"https://node.example:port/{KEY}", "https://node.example:?/***"),
    ],
)
def test_a_url_is_shown_without_its_key(url: str, name: str) -> None:
    assert urls.redact(url) == name
    assert KEY in urls.secrets_of(url)


HEADER = {"block_hash": "0xA", "parent_hash": "0x09", "block_number": 7, "timestamp": 8}


@pytest.mark.parametrize("gone", sorted(HEADER))
def test_a_block_that_is_not_sealed_is_no_header(gone: str) -> None:
    whole = wire.decoded(wire.header_decoder, msgspec.Raw(msgspec.json.encode(HEADER)), "header")
    assert (wire.header(whole).hash, wire.header(whole).parent_hash) == ("0xa", "0x9")
    raw = msgspec.Raw(msgspec.json.encode({k: v for k, v in HEADER.items() if k != gone}))
    with pytest.raises(errors.InconsistentAnswerError, match="header"):
        wire.decoded(wire.header_decoder, raw, "header")
