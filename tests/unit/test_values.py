"""What text means: felts, block numbers, times, decimals; and exact JSON."""

from __future__ import annotations

import datetime
import decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import errors, values
from indexer.cairo import felt252


@given(st.integers(0, felt252.PRIME - 1), st.integers(1, 64))
@settings(derandomize=True)
def test_a_felt_with_any_padding(value: int, width: int) -> None:
    text = f"0x{value:0{width}x}"
    assert values.felt(text) == values.felt(text.upper().replace("X", "x")) == value


@pytest.mark.parametrize(
    "text",
    ["", "0x", "1", "0xg", "0x" + "f" * 64, "0x" + "0" * 65, f"{felt252.PRIME:#x}", "0x1\n"],
)
def test_what_is_no_felt(text: str) -> None:
    with pytest.raises(errors.QuestionError, match="not a Starknet address") as raised:
        values.felt(text, "pool")
    assert raised.value.parameter == "pool"
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["0", "7", "9223372036854775807", "0000000000000000001"])
def test_block_numbers(text: str) -> None:
    assert values.block_number(text) == int(text)


@pytest.mark.parametrize("text", ["", "-1", "1.0", "9223372036854775808", "9" * 500, "٣", "1_0"])
def test_what_is_no_block_number(text: str) -> None:
    with pytest.raises(errors.QuestionError, match="not a block number"):
        values.block_number(text)


def test_times_are_utc() -> None:
    expected = datetime.datetime(2025, 10, 2, 12, tzinfo=datetime.UTC)
    for text in ("2025-10-02T12:00:00Z", "2025-10-02T14:00:00+02:00", "2025-10-02 12:00"):
        assert values.time(text) == expected


@pytest.mark.parametrize("text", ["", "today", "2025-13-01", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(errors.QuestionError, match="not a time"):
        values.time(text)


@pytest.mark.parametrize("text", ["1.05", "0", "-3", "+.5", "2."])
def test_numbers(text: str) -> None:
    assert values.number(text) == decimal.Decimal(text)


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e9999999", "1e5", "0x1", "1,5", " 1"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(errors.QuestionError, match="not a number"):
        values.number(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18))
@settings(derandomize=True)
def test_decimals_are_written_exactly(value: decimal.Decimal) -> None:
    read = msgspec.json.decode(values.json_text({"a": [value]}))["a"][0]
    assert "e" not in read.lower()
    assert decimal.Decimal(read) == value
