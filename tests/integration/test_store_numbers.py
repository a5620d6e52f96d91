"""Integers to PostgreSQL and back: exact to the last digit on every way that rows take."""

from __future__ import annotations

import decimal
from collections.abc import AsyncIterator

import asyncpg
import hypothesis
import pytest
from hypothesis import strategies

from indexer.projections import rows
from tests import postgres

EDGES = [0, 1, 9_999, 10_000, 10**28 + 1, 2**64, 2**128, 2**251, 2**256 - 1, 2**256, 10**78 - 1]
INTEGERS = strategies.lists(
    strategies.one_of(
        strategies.integers(-(2**256), 2**256),
        strategies.sampled_from(EDGES + [-edge for edge in EDGES]),
        # Many zeros at the end, which PostgreSQL leaves out of what it sends.
        strategies.builds(
            lambda digits, zeros: digits * 10**zeros,
            strategies.integers(-(10**38), 10**38),
            strategies.integers(0, 39),
        ),
    ),
    max_size=20,
)
FEW = hypothesis.settings(max_examples=40)


@pytest.fixture(scope="module")
async def connection() -> AsyncIterator[asyncpg.Connection]:
    async with postgres.fresh_database() as url:
        made = await asyncpg.connect(url)
        await made.execute("CREATE TABLE numbers (at integer, raw numeric(78,0))")
        yield made
        await made.close()


@FEW
@hypothesis.given(integers=INTEGERS)
async def test_as_parameters(connection: asyncpg.Connection, integers: list[int]) -> None:
    found = await connection.fetch(
        "SELECT n, n::text AS said FROM unnest($1::numeric[]) WITH ORDINALITY AS t (n, at) "
        "ORDER BY at",
        integers,
    )
    assert [row["said"] for row in found] == [str(integer) for integer in integers]
    assert [int(row["n"]) for row in found] == integers


@FEW
@hypothesis.given(integers=INTEGERS)
async def test_in_columns_by_copy(connection: asyncpg.Connection, integers: list[int]) -> None:
    await connection.execute("TRUNCATE numbers")
    await connection.copy_records_to_table("numbers", records=list(enumerate(integers)))
    found = await connection.fetch("SELECT raw, raw::text AS said FROM numbers ORDER BY at")
    assert [row["said"] for row in found] == [str(integer) for integer in integers]
    assert [int(row["raw"]) for row in found] == integers


@FEW
@hypothesis.given(integers=INTEGERS, decimals=strategies.integers(0, 36))
async def test_as_rows_in_json(
    connection: asyncpg.Connection, integers: list[int], decimals: int
) -> None:
    """The projections' way: raw amounts, and the same in token units."""
    records = [
        {"at": at, "raw": str(integer), "amount": rows.units(integer, decimals)}
        for at, integer in enumerate(integers)
    ]
    found = await connection.fetch(
        "SELECT raw, amount, raw = amount * 10::numeric ^ $2::int AS is_same FROM "
        "jsonb_to_recordset($1::text::jsonb) AS r (at integer, raw numeric(78,0), amount numeric) "
        "ORDER BY at",
        rows.encode(records).decode(),
        decimals,
    )
    assert [int(row["raw"]) for row in found] == integers
    assert [format(row["amount"], "f") for row in found] == [one["amount"] for one in records]
    assert all(row["is_same"] for row in found)


@pytest.mark.parametrize("integer", [10**78, -(10**78)])
async def test_more_digits_than_a_column_has(connection: asyncpg.Connection, integer: int) -> None:
    with pytest.raises(asyncpg.NumericValueOutOfRangeError):
        await connection.execute("INSERT INTO numbers VALUES (0, $1)", integer)


async def test_no_number_is_no_integer(connection: asyncpg.Connection) -> None:
    found = await connection.fetchval("SELECT 'NaN'::numeric")
    assert isinstance(found, decimal.Decimal)
    with pytest.raises(ValueError, match="NaN"):
        int(found)
