"""Column texts: ids are uuid v5, units are exact, texts survive COPY's text format."""

from __future__ import annotations

import decimal
import re
import uuid

from hypothesis import given
from hypothesis import strategies as st

from indexer.projections import rows
from indexer.vesu import state


@given(st.integers(0, 2**63), st.integers(0, 2**31), st.integers(0, 2**31), st.integers(0, 9))
def test_an_id_is_the_uuid_of_its_name(block: int, transaction: int, event: int, leg: int) -> None:
    at = state.EventKey(block, transaction, event)
    name = f"transaction/{block}/{transaction}/{event}/{leg}"
    assert rows.effect_id("transaction", at, leg) == str(uuid.uuid5(rows.NAMESPACE, name))


@given(st.integers(-(2**256), 2**256), st.integers(0, 77))
def test_units_are_the_exact_quotient(raw: int, decimals: int) -> None:
    with decimal.localcontext(prec=200):
        assert decimal.Decimal(rows.units(raw, decimals)) == decimal.Decimal(raw).scaleb(-decimals)
        assert rows.units(raw, decimals).partition(".")[0] not in ("", "-")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
ESCAPED = {r"\t": "\t", r"\n": "\n", r"\r": "\r", r"\\": "\\"}


@given(st.lists(TEXT | st.none() | st.integers() | st.booleans(), min_size=1))
def test_a_copied_row_reads_back(values: list[object]) -> None:
    record = {str(column): value for column, value in enumerate(values)}
    line = rows.copied([record]).decode()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    fields = line[:-1].split("\t")
    assert [
        None if field == r"\N" else re.sub(r"\\.", lambda found: ESCAPED[found[0]], field)
        for field in fields
    ] == [None if value is None else str(value) for value in values]
