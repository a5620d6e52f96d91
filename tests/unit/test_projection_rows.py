"""Column texts: ids are uuid v5, units are exact."""

from __future__ import annotations

import decimal
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
