"""Text from felts, hostile text included."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starknet_py.cairo import felt as foreign_felt
from starknet_py.serialization import data_serializers

from indexer.cairo import text

FOREIGN_BYTE_ARRAY = data_serializers.ByteArraySerializer()  # type: ignore[attr-defined]
PRIME = 2**251 + 17 * 2**192 + 1
ASCII = st.characters(min_codepoint=1, max_codepoint=127)


@given(st.text(ASCII, max_size=31))
def test_short_string_reads_what_starknet_py_encodes(string: str) -> None:
    assert text.short_string(foreign_felt.encode_shortstring(string)) == string


@given(st.integers(0, PRIME - 1))
def test_any_felt_is_some_short_string(felt: int) -> None:
    assert len(text.short_string(felt)) <= 32


@given(st.text(ASCII, max_size=120), st.lists(st.integers(0, PRIME - 1), max_size=3))
def test_byte_array_reads_what_starknet_py_encodes(string: str, rest: list[int]) -> None:
    felts = FOREIGN_BYTE_ARRAY.serialize(string)  # starknet-py encodes ASCII alone
    assert text.byte_array([*felts, *rest]) == string
    assert text.felts_of([*felts, *rest]) == len(felts)
    assert text.string_of(felts) == string


@given(st.text(max_size=60))
def test_byte_array_reads_any_language(string: str) -> None:
    raw = string.encode()
    words, length = divmod(len(raw), 31)
    chunks = [raw[at : at + 31] for at in range(0, len(raw), 31)] + [b""] * (length == 0)
    felts = [words, *(int.from_bytes(chunk, "big") for chunk in chunks), length]
    assert text.byte_array(felts) == string
    assert text.felts_of(felts) == len(felts)


@pytest.mark.parametrize(
    ("felts", "complaint"),
    [
        ([], "cut short"),
        ([0], "cut short"),
        ([0, 0], "cut short"),
        ([1, 5, 0], "cut short"),
        ([PRIME - 1, 0, 0], "cut short"),
        ([0, 0, 31], "does not fit its length 31"),
        ([0, 0x4142, 1], "does not fit its length 1"),
        ([1, 1 << 248, 0, 0], "longer than 31 bytes"),
    ],
)
def test_broken_byte_array_is_refused(felts: list[int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        text.byte_array(felts)


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert text.byte_array([0, 0x41FF42, 3]) == "A\ufffdB"
    assert text.short_string(0x41FF42) == "A\ufffdB"


@given(st.lists(st.integers(0, PRIME - 1), max_size=6))
def test_any_answer_of_a_token_is_some_text(felts: list[int]) -> None:
    assert isinstance(text.string_of(felts), str)


def test_token_answers_in_both_forms() -> None:
    assert text.string_of([0x455448]) == "ETH"
    assert text.string_of([0, 0x455448, 3]) == "ETH"
    assert text.string_of([0, 0x455448]) == ""
    assert text.string_of([]) == ""


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("sUSN\0\0\0", "sUSN"),
        ("USDC\u202eCDSU", "USDCCDSU"),
        ("U\u200bS\u2060D\ufeffC", "USDC"),
        ("\u2066US\u2069DC", "USDC"),
        ("line\r\n\tone\x1b[31m", "line one [31m"),
        ("  a \u3000 b  ", "a b"),
        ("\u3164\u115f\u2800", ""),
        ("US\ufe0fD\u034fC", "USDC"),
        ("e\u200b\u0301", "\u00e9"),
        ("a\ud800b\ue000c", "abc"),
    ],
)
def test_clean_leaves_nothing_invisible(hostile: str, shown: str) -> None:
    assert text.clean(hostile) == shown


@given(st.text(max_size=200), st.integers(0, 70))
def test_clean_text_is_short_visible_and_stays(string: str, limit: int) -> None:
    cleaned = text.clean(string, limit)
    assert len(cleaned) <= limit
    assert text.clean(cleaned, limit) == cleaned
    assert {unicodedata.category(c) for c in cleaned}.isdisjoint({"Cc", "Cf", "Cs", "Co", "Zl"})
    assert "  " not in cleaned
    assert cleaned == cleaned.strip()


@given(st.text(st.characters(codec="ascii"), max_size=200), st.integers(0, 70))
def test_clean_does_to_ascii_what_it_does_to_every_text(string: str, limit: int) -> None:
    assert text.clean(string, limit) == text.clean(string + "\u200b", limit)


def test_storable_text_has_no_nul() -> None:
    assert text.storable("sUSN\0\0") == "sUSN\ufffd\ufffd"
    assert text.storable("sUSN") == "sUSN"
