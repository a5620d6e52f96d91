"""Felts and shapes at the edge: one canonical form, nothing that cannot be true."""

from __future__ import annotations

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from indexer import errors
from indexer.chain import wire

HEADER = {"block_hash": "0xA", "parent_hash": "0x09", "block_number": 7, "timestamp": 8}


@hypothesis.given(
    strategies.integers(0, wire.PRIME - 1), strategies.booleans(), strategies.booleans()
)
def test_every_spelling_of_a_felt_comes_out_the_same(value: int, upper: bool, padded: bool) -> None:
    digits = f"{value:064x}" if padded else f"{value:x}"
    assert wire.felt("0x" + (digits.upper() if upper else digits)) == hex(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "12",
        "0x 1",
        "0x-1",
        "0x+1",
        "0x1_0",
        "0x1\n",
        "0xg",
        "0x\u0661",
        "0x" + "0" * 65,
        hex(wire.PRIME),
        "-0x1",
    ],
)
def test_what_is_no_felt_is_refused(text: str) -> None:
    with pytest.raises(errors.InconsistentAnswerError, match="no felt"):
        wire.felt(text)


def _header(**fields: object) -> wire.Header:
    raw = msgspec.Raw(msgspec.json.encode(HEADER | fields))
    decoded: wire.Header = wire.decoded(wire.header_decoder, raw, "header")
    return decoded


def test_a_commitment_is_unknown_where_a_full_block_says_zero() -> None:
    assert wire.header(_header(event_count=3, event_commitment="0x0")).event_commitment is None
    assert wire.header(_header(event_count=0, event_commitment="0x0")).event_commitment == "0x0"
    assert wire.header(_header(event_count=3, event_commitment="0x0F")).event_commitment == "0xf"
    assert wire.header(_header()).event_count is None


def test_a_header_is_canonical() -> None:
    header = wire.header(_header(starknet_version="0.14.0"))
    assert (header.hash, header.parent_hash, header.number) == ("0xa", "0x9", 7)


@pytest.mark.parametrize("gone", ["block_hash", "parent_hash", "block_number", "timestamp"])
def test_a_block_that_is_not_sealed_is_no_header(gone: str) -> None:
    raw = msgspec.Raw(msgspec.json.encode({k: v for k, v in HEADER.items() if k != gone}))
    with pytest.raises(errors.InconsistentAnswerError, match="header"):
        wire.decoded(wire.header_decoder, raw, "header")
