"""Realised APYs against the accumulators that the contracts' views answered at both ends."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import asyncpg
import pytest

from indexer import errors
from indexer.query import yields
from indexer.store import database
from tests.acceptance import past, tables_v1, truth

SCALE = 10**18
DAYS = (1, 2, 3, 7)


class Told:
    """Accumulators and shares' worth by (pool, asset, block), from the recorded views."""

    def __init__(self, recorded: truth.Recorded, view: str) -> None:
        self.accumulators: dict[Any, int] = {}
        self.worth: dict[Any, Fraction] = {}
        for block, contract, calldata, felts in truth.Recorded.answered(recorded, view):
            pool, asset = (contract, calldata[0]) if len(calldata) == 1 else calldata
            wide = truth.u256s(felts[:12]) + truth.u256s(felts[14:18])
            shares, nominal, reserve, scale, accumulator = *wide[:3], wide[5], wide[6]
            place = (past.hexed(pool), past.hexed(contract), past.hexed(asset), block)
            if not accumulator:
                continue  # V1 answers zeros for an asset that is not there
            self.accumulators[place] = accumulator
            if shares:
                owed = Fraction(nominal * accumulator * scale, SCALE**2)
                self.worth[place] = (reserve + owed) / shares


def pairs_of_blocks(recorded: truth.Recorded) -> Iterator[tuple[int, int, int]]:
    """(days, earlier block, later block), exactly so many days apart."""
    blocks = {time: block for block, time in recorded.timestamps.items() if block > 3}
    for time, block in blocks.items():
        for days in DAYS:
            earlier = blocks.get(time - days * 86_400)
            if earlier is not None:
                yield days, earlier, block


def is_floor(written: str, growth: Fraction, days: int) -> bool:
    """Whether it is growth^(365/days) - 1, rounded down to 10^-18; by powers, without a root."""
    apy = int(decimal.Decimal(written).scaleb(18))
    low, high = (Fraction(SCALE + apy + more, SCALE) ** days for more in (0, 1))
    return low <= growth**365 < high


async def compare(
    connection: asyncpg.Connection, recorded: truth.Recorded, view: str
) -> tuple[int, int]:
    """(borrow APYs, supply APYs) that are those of the two recorded states."""
    told = Told(recorded, view)
    borrowed = supplied = 0
    for days, earlier, block in pairs_of_blocks(recorded):
        at = past.at_second(recorded.timestamps[block])
        for one in (await yields.find(connection, at=at, windows=[days])).yields:
            place = (one.pool_id, one.pool_address, one.asset_address)
            ends = [(*place, earlier), (*place, block)]
            (realised,) = one.realised
            if all(end in told.accumulators for end in ends):
                growth = Fraction(*(told.accumulators[end] for end in reversed(ends)))
                assert realised.borrow_apy is not None
                assert is_floor(realised.borrow_apy, growth, days), (place, earlier, block)
                borrowed += 1
            if all(end in told.worth for end in ends) and not told.worth[ends[0]]:
                # Shares of nothing (a reserve that migrated): growth from nothing is no number.
                assert (realised.supply_growth, realised.supply_apy) == (None, None), place
            elif all(end in told.worth for end in ends):
                growth = told.worth[ends[1]] / told.worth[ends[0]]
                assert realised.supply_apy is not None
                assert is_floor(realised.supply_apy, growth, days), (place, earlier, block)
                supplied += 1
    print(f"compared {borrowed} borrow APYs and {supplied} supply APYs")
    return borrowed, supplied


async def test_v2(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    assert min(await compare(indexed, recorded, "asset_config")) > 300


async def test_v1(indexed_v1: tables_v1.Indexed) -> None:
    connection = await database.connect(indexed_v1.url)
    try:
        compared = await compare(connection, indexed_v1.recorded, "asset_config_unsafe")
    finally:
        await connection.close()
    assert min(compared) > 50


async def taken_over_at(connection: asyncpg.Connection) -> dict[tuple[str, str], int]:
    """The block in which V1.1 took over, by pool and V1.0 singleton."""
    rows = await connection.fetch(
        "SELECT DISTINCT before.args ->> 'pool_id' AS pool_id, before.from_address, "
        "after.block_number FROM events before JOIN events after "
        "ON after.name = before.name AND after.args -> 'pool_id' = before.args -> 'pool_id' "
        "AND after.from_address <> before.from_address "
        "AND after.block_number > before.block_number "
        "WHERE before.name = 'CreatePool' AND before.args ? 'pool_id'"
    )
    return {
        (past.hexed(int(row["pool_id"], 0)), past.hexed(int(row["from_address"], 16))): row[
            "block_number"
        ]
        for row in rows
    }


async def test_a_pool_that_moves_on_loses_nothing(indexed_v1: tables_v1.Indexed) -> None:
    """No supply APY of V1.0's books over the takeover; before and after it they are told."""
    recorded = indexed_v1.recorded
    compared = 0
    async with database.session(indexed_v1.url) as connection:
        taken_over = await taken_over_at(connection)
        assert bool(taken_over) == ("migration" in recorded.folder.name)
        for block, time in sorted(recorded.timestamps.items())[-40::7]:
            found = await yields.find(connection, at=past.at_second(time), windows=[1, 7, 30])
            for asset in found.yields:
                moved = taken_over.get((asset.pool_id, asset.pool_address))
                for realised in asset.realised:
                    since = realised.since.timestamp()
                    spans = moved is not None and since < recorded.timestamps[moved] <= time
                    if realised.reason in ("not_there_yet", "nothing_supplied"):
                        assert realised.supply_apy is None
                        continue
                    assert (realised.reason == "migrated") == spans, (asset, block)
                    assert (realised.supply_apy is None) == spans
                    compared += spans
    assert (compared > 0) == bool(taken_over)


async def test_before_the_first_block_nothing_is_told(indexed: asyncpg.Connection) -> None:
    found = await yields.find(indexed, windows=[1, 3_650])
    assert found.yields
    for one in found.yields:
        assert [realised.days for realised in one.realised] == [1, 3_650]
        assert one.realised[1].borrow_apy is None
        assert one.realised[1].supply_growth is None
    with pytest.raises(errors.QuestionError, match="windows"):
        await yields.find(indexed, windows=[0])
