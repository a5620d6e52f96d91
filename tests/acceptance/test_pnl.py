"""Interest and gains, against the contracts' views and the tokens' own transfers."""

from __future__ import annotations

import collections
import datetime
import decimal

import asyncpg
import pytest

from indexer import errors
from indexer.query import markets, pnl, positions, user_pnl
from indexer.store import database
from tests.acceptance import past, tables_v1, truth

SIGNS = {"supply": 1, "borrow": 1, "withdraw": -1, "repay": -1}
Key = tuple[int, int, int, int]


def moved_by_tokens(recorded: truth.Recorded, last: int) -> dict[Key, list[int]]:
    """(net collateral, net debt) that tokens moved for each V2 position up to a block."""
    moved: dict[Key, list[int]] = collections.defaultdict(lambda: [0, 0])
    for one in recorded.operations:
        if one["reverted"] or one["block_number"] > last or not one.get("debt_asset"):
            continue
        names = ("pool", "collateral_asset", "debt_asset", "user")
        pool, collateral, debt, user = (int(one[name], 16) for name in names)
        sums = moved[pool, collateral, debt, user]
        if one["op"] in SIGNS:
            side = 0 if one["op"] in ("supply", "withdraw") else 1
            sums[side] += SIGNS[one["op"]] * one["assets"]
        elif one["op"] == "liquidation":
            sums[0] -= one["collateral_assets"]
            sums[1] -= one["debt_removed"]
    return moved


def beginning(recorded: truth.Recorded) -> datetime.datetime:
    """Before anything was done."""
    first = min(one["block_timestamp"] for one in recorded.operations)
    return past.at_second(first - 10)


async def test_interest_is_the_view_less_what_the_tokens_moved(
    indexed: asyncpg.Connection, recorded: truth.Recorded
) -> None:
    """At the last block, and in the middle; the days add up to the period."""
    compared = 0
    stored = {row["number"] for row in await indexed.fetch("SELECT number FROM blocks")}
    for last in (max(number for number in stored if number < 60), recorded.last_block):
        moved = moved_by_tokens(recorded, last)
        for block, pool, (collateral, debt, user), result in recorded.answered("position"):
            if block != last or (pool, collateral, debt, user) not in moved:
                continue
            _, _, held, owed = truth.u256s(result)
            wanted = markets.PositionRef(pool, collateral, debt, user)
            found = await pnl.of_position(indexed, wanted, beginning(recorded), last)
            supplied, borrowed = moved[pool, collateral, debt, user]
            assert int(found.collateral.interest) == held - supplied, (wanted, last)
            assert int(found.debt.interest) == owed - borrowed, (wanted, last)
            compare_sums(found)
            compared += 1
    print(f"compared the interest of {compared} positions")
    assert compared > 40


def compare_sums(found: pnl.Pnl) -> None:
    for side, name in ((found.collateral, "collateral_interest"), (found.debt, "debt_interest")):
        assert sum(int(getattr(day, name)) for day in found.days) == int(side.interest)
        assert int(side.start) + int(side.moved_in) - int(side.moved_out) + int(
            side.interest
        ) == int(side.end)
    assert len(found.days) >= (found.valued_at - found.since).days


async def wanted_positions(
    connection: asyncpg.Connection, *, is_earn: bool
) -> list[markets.PositionRef]:
    found = (await positions.find(connection)).positions
    return [
        markets.PositionRef(
            int(one.pool_id, 16),
            int(one.collateral_address, 16),
            int(one.debt_address or "0x0", 16),
            int(one.user_id, 16),
            int(one.v_token or "0x0", 16),
        )
        for one in found
        if one.kind == ("earn" if is_earn else "borrow")
    ]


async def test_two_periods_are_one(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """Interest to the unit and USD to 10^-18: the first and the second half add up."""
    until = past.at_second(recorded.timestamps[recorded.last_block])
    start = beginning(recorded)
    middle = start + (until - start) / 2
    for wanted in (await wanted_positions(indexed, is_earn=False))[:12]:
        whole = await pnl.of_position(indexed, wanted, start, until)
        first = await pnl.of_position(indexed, wanted, start, middle)
        second = await pnl.of_position(indexed, wanted, middle.replace(microsecond=0), until)
        for name in ("collateral", "debt"):
            parts = [int(getattr(one, name).interest) for one in (first, second)]
            assert sum(parts) == int(getattr(whole, name).interest)
        if None not in (whole.pnl_usd, first.pnl_usd, second.pnl_usd):
            both = decimal.Decimal(first.pnl_usd or 0) + decimal.Decimal(second.pnl_usd or 0)
            assert both == decimal.Decimal(whole.pnl_usd or 0)


async def test_suppliers_earn_what_their_v_tokens_gained(
    indexed: asyncpg.Connection, recorded: truth.Recorded
) -> None:
    """A holder who only deposited: `convert_to_assets` at the end less what was put in."""
    put_in: dict[tuple[int, int], int] = collections.defaultdict(int)
    others = set()
    for one in recorded.operations:
        if one.get("via") == "v_token" and not one["reverted"]:
            place = (int(one["v_token"], 16), int(one["user"], 16))
            put_in[place] += SIGNS[one["op"]] * one["assets"]
        elif one["op"] == "transfer":
            others |= {int(one[name], 16) for name in ("user", "to", "receiver") if one.get(name)}
            others.add(int(one["caller"], 16))
    compared = 0
    for wanted in await wanted_positions(indexed, is_earn=True):
        found = await pnl.of_position(indexed, wanted, beginning(recorded))
        compare_sums(found)
        place = (wanted.v_token, wanted.user)
        if place in put_in and wanted.user not in others:
            assert int(found.collateral.interest) == int(found.collateral.end) - put_in[place]
            compared += 1
    print(f"compared {compared} holdings")
    assert compared > 3


async def test_a_user_is_all_of_their_positions(
    indexed: asyncpg.Connection, recorded: truth.Recorded
) -> None:
    every = await wanted_positions(indexed, is_earn=False)
    every += await wanted_positions(indexed, is_earn=True)
    user = max(one.user for one in every)
    found = await user_pnl.of_user(indexed, user, beginning(recorded))
    mine = [one for one in every if one.user == user]
    alone = [await pnl.of_position(indexed, one, beginning(recorded)) for one in mine]
    assert sorted(found.positions, key=str) == sorted(alone, key=str)
    together = sum(decimal.Decimal(one.pnl_usd or 0) for one in alone)
    assert decimal.Decimal(found.pnl_usd or 0) == together
    assert found.block_number == recorded.last_block


async def test_v1_days_add_up(indexed_v1: tables_v1.Indexed) -> None:
    """Positions that migrated are followed through both generations."""
    connection = await database.connect(indexed_v1.url)
    try:
        for wanted in (await wanted_positions(connection, is_earn=False))[:15]:
            found = await pnl.of_position(connection, wanted, beginning(indexed_v1.recorded))
            compare_sums(found)
            assert int(found.debt.interest) >= 0
    finally:
        await connection.close()


async def test_what_cannot_be_asked(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    (wanted, *_) = await wanted_positions(indexed, is_earn=False)
    until = past.at_second(recorded.timestamps[recorded.last_block])
    for since in (until, until - datetime.timedelta(days=1_101)):
        with pytest.raises(errors.QuestionError, match="is no period"):
            await pnl.of_position(indexed, wanted, since, until)
    with pytest.raises(errors.NotFoundError, match="never was"):
        await pnl.of_position(indexed, markets.PositionRef(1, 2, 3, 4), beginning(recorded))
