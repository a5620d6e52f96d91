"""Rows in COPY's text format read back as what they were."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from indexer.store import copying

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
ESCAPED = {r"\t": "\t", r"\n": "\n", r"\r": "\r", r"\\": "\\"}


@given(st.lists(TEXT | st.none() | st.integers() | st.booleans(), min_size=1))
def test_a_copied_row_reads_back(values: list[object]) -> None:
    line = copying.line(values)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    fields = line[:-1].split("\t")
    assert [
        None if field == r"\N" else re.sub(r"\\.", lambda found: ESCAPED[found[0]], field)
        for field in fields
    ] == [None if value is None else str(value) for value in values]


@given(st.lists(TEXT | st.none() | st.integers() | st.booleans(), min_size=1))
def test_a_plain_line_of_fields_is_the_same_line(values: list[object]) -> None:
    fields = tuple(
        copying.field(value) if value is None or isinstance(value, str) else value
        for value in values
    )
    assert copying.plain_line(fields) == copying.nullable_line(fields) == copying.line(values)


@given(st.lists(st.sampled_from(["None", "a", None, 1, True]), min_size=1))
def test_a_null_and_a_text_that_says_none_are_told_apart(values: list[object]) -> None:
    assert copying.plain_line(tuple(values)) == copying.line(values)


TEXTLESS = st.sampled_from(["0x5a", "2026-11-30T23:19:42+00:00", "active"]) | st.integers()


@given(TEXTLESS, st.lists(TEXTLESS | st.none() | st.booleans()))
def test_a_line_without_texts_is_the_same_line(first: object, others: list[object]) -> None:
    values = (first, *others)
    assert copying.textless_line(values) == copying.line(values)
