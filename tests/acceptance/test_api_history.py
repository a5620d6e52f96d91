"""History, rates, fees and risk over HTTP, held against views and independent computations."""

from __future__ import annotations

import datetime
import decimal
import itertools
from collections import defaultdict
from typing import Any

import asyncpg
import pytest

from tests import postgres
from tests.acceptance import past, truth
from tests.acceptance.api_client import Client, serving

EXACT = decimal.Context(prec=120)


@pytest.fixture
async def asked(indexed: asyncpg.Connection, recorded: truth.Recorded) -> past.Past:
    return await past.Past.of(indexed, recorded)


def scaled(text: str, digits: int = 18) -> int:
    return int(EXACT.scaleb(decimal.Decimal(text), digits))


async def test_a_positions_history_is_the_contracts(
    api: Client,
    asked: past.Past,
) -> None:
    """By block: the amounts of position() at each block of a change that was recorded."""
    told: dict[tuple[str, ...], dict[int, list[int]]] = defaultdict(dict)
    for block, pool, calldata, result in asked.recorded.answered("position"):
        told[(past.hexed(pool), *map(past.hexed, calldata))][block] = truth.u256s(result)
    compared = 0
    for one in (await api.walk("/v1/positions", kind="borrow"))[:12]:
        key = (one["pool_id"], one["collateral_address"], one["debt_address"], one["user_id"])
        points = await api.data(f"/v1/positions/{one['id']}/history", interval="block", points=200)
        assert points
        for point in points:
            theirs = told[key].get(point["block_number"])
            if theirs is not None:
                names = ("collateral_shares", "nominal_debt", "collateral_raw", "debt_raw")
                assert [int(point["position"][name]) for name in names] == theirs
                compared += 4
    assert compared > 100


@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
async def test_points_lie_on_the_grid_and_equal_the_question_at_their_time(
    api: Client, interval: str
) -> None:
    asset = (await api.data("/v1/assets", limit=1))[0]
    path = f"/v1/assets/{asset['id']}"
    points = await api.data(f"{path}/history", interval=interval, points=4)
    assert points
    times = [datetime.datetime.fromisoformat(point["time"]) for point in points]
    for time in times:
        assert (time.minute, time.second) == (0, 0)
        assert interval == "hour" or time.hour == 0
        assert interval != "week" or time.weekday() == 0
        assert interval != "month" or time.day == 1
    steps = {(after - before).days for before, after in itertools.pairwise(times)}
    assert steps <= {"hour": {0}, "day": {1}, "week": {7}, "month": {28, 30, 31}}[interval]
    for point in points:
        then = await api.data(path, at_time=point["time"])
        assert then == point["asset"]
    pool = asset["pool_id"]
    sums = await api.data(f"/v1/pools/{pool}/history", interval=interval, points=4)
    for point in sums:
        then = await api.data(f"/v1/pools/{pool}", at_time=point["time"])
        assert (then["supply_usd"], then["borrow_usd"]) == (
            point["supply_usd"],
            point["borrow_usd"],
        )


async def test_spans_are_bounded_and_named(api: Client) -> None:
    asset = (await api.data("/v1/assets", limit=1))[0]
    path = f"/v1/assets/{asset['id']}/history"
    query = {"from": "2026-02-01T12:00:00Z", "to": "2026-02-04T00:00:00Z"}
    points = await api.data(path, **query)
    assert [point["time"] for point in points] == [
        "2026-02-02T00:00:00Z",
        "2026-02-03T00:00:00Z",
        "2026-02-04T00:00:00Z",
    ]
    for query, parameter in (
        ({"interval": "year"}, "interval"),
        ({"points": "0"}, "points"),
        ({"points": "100000"}, "points"),
        ({"from": "x"}, "from"),
    ):
        said = await api.ask(path, **query)
        assert (said.status, said.body["parameter"]) == (400, parameter)
    said = await api.ask("/v1/stats/history", interval="block")
    assert (said.status, said.body["parameter"]) == (400, "interval")


async def test_realised_rates_are_those_of_two_accumulators(api: Client) -> None:
    """Growth and APY worked out again from the answers at both ends of each window."""
    compared = 0
    assets = await api.walk("/v1/assets")
    for asset in assets:
        path = f"/v1/pools/{asset['pool_id']}/interest-rate"
        answer = await api.get(path, asset=asset["asset_address"])
        now = datetime.datetime.fromisoformat(answer["meta"]["valued_at"])
        for window in answer["data"][0]["realised"]:
            since = now - datetime.timedelta(days=window["days"])
            assert datetime.datetime.fromisoformat(window["since"]) == since
            if window["borrow_growth"] is None:
                continue
            then = await api.data(f"/v1/assets/{asset['id']}", at_time=since.isoformat())
            first = int(then["last_rate_accumulator"])
            growth = EXACT.divide(int(asset["last_rate_accumulator"]), first)
            assert scaled(window["borrow_growth"]) == int(EXACT.scaleb(growth, 18))
            years = EXACT.divide(365, window["days"])
            power = EXACT.power(growth, years)
            apy = int(EXACT.scaleb(EXACT.subtract(power, 1), 18))
            assert abs(scaled(window["borrow_apy"]) - apy) <= 1
            compared += 1
    assert compared > 30


async def test_the_curve_passes_through_the_spot_rate(api: Client) -> None:
    """At the utilisation of the asset the rate, compounded for a year, is the borrow APY."""
    for asset in await api.walk("/v1/assets"):
        curve = await api.data(f"/v1/assets/{asset['id']}/rate-curve")
        used = [decimal.Decimal(point["utilization"]) for point in curve["points"]]
        rates = [int(point["borrow_rate_per_second"]) for point in curve["points"]]
        assert used == sorted(used)
        assert (used[0], used[-1]) == (0, 1)
        assert rates == sorted(rates)
        at = used.index(decimal.Decimal(asset["utilization"]))
        year = (1 + rates[at] / 1e18) ** (365 * 86_400) - 1
        assert abs(year - float(asset["borrow_apy"])) < 1e-6


async def test_interest_is_what_debt_grew_by_without_borrowing(api: Client) -> None:
    """Δ debt = borrowed − repaid − liquidated + interest, up to a unit an event and rounding."""
    since = "2026-01-20T00:00:00Z"
    fees = await api.data("/v1/fees", since=since)
    before = {one["id"]: one for one in await api.walk("/v1/assets", at_time=since)}
    now = {one["id"]: one for one in await api.walk("/v1/assets")}
    flows: dict[tuple[str, str], list[int]] = defaultdict(list)
    rows = await api.walk("/v1/transactions", limit=500, timestamp_gte=since)
    debts = {one["id"]: one["debt_address"] for one in await api.walk("/v1/positions", limit=500)}
    for row in rows:
        is_debt = row["type"] in ("borrow", "repay") or (
            row["type"] == "liquidation" and row["leg"] == 1
        )
        if row["timestamp"] > since and is_debt:
            assert row["asset_address"] == debts[row["position_id"]]
            flows[row["pool_id"], row["asset_address"]].append(int(row["amount_raw"]))
    compared = 0
    for one in fees["assets"]:
        then = int(before[one["asset_id"]]["total_borrow_raw"]) if one["asset_id"] in before else 0
        moved = flows[one["pool_id"], one["asset_address"]]
        grown = int(now[one["asset_id"]]["total_borrow_raw"]) - then
        assert abs(grown - sum(moved) - int(one["interest_raw"])) <= len(moved) + 2, one
        compared += int(one["interest_raw"]) > 0
    assert compared > 5
    paid, charged = (decimal.Decimal(fees[name]) for name in ("interest_usd", "fees_usd"))
    assert EXACT.subtract(paid, charged) == decimal.Decimal(fees["supply_side_usd"])
    assert 0 < charged < paid


async def test_falling_prices_endanger_who_has_too_little(api: Client) -> None:
    """Each step counts the positions whose health would be below 1, from the list itself."""
    held = [
        one
        for one in await api.walk("/v1/positions", limit=500, nominal_debt_gte=1)
        if one["health_factor"] is not None
    ]
    curve = await api.data("/v1/risk/curve")
    assert curve["positions"] == len(held)
    for point in curve["points"]:
        left = EXACT.subtract(1, decimal.Decimal(point["shock"]))
        # Values are cut to 18 digits; no position of the recording lies that near to its limit.
        below = [
            one for one in held if EXACT.multiply(decimal.Decimal(one["health_factor"]), left) < 1
        ]
        assert point["positions"] == len(below)
        owed = sum(scaled(one["debt_value_usd"]) for one in below)
        assert scaled(point["debt_usd"]) == owed
    assert curve["points"][-1]["positions"] == len(held)
    one = held[0]
    only = await api.data(
        "/v1/risk/curve",
        pool_id=one["pool_id"],
        falling=one["collateral_address"],
        debt_address=one["debt_address"],
    )
    assert 0 < only["positions"] < len(held)


async def test_concentration_and_heatmap_add_up(api: Client) -> None:
    held = [
        one
        for one in await api.walk("/v1/positions", limit=500, nominal_debt_gte=1)
        if one["health_factor"] is not None
    ]
    for of, column in (("debt", "debt_value_usd"), ("collateral", "collateral_value_usd")):
        found = await api.data("/v1/risk/concentration", of=of, top=500)
        by_user: dict[str, int] = defaultdict(int)
        for one in held:
            by_user[one["user_id"]] += scaled(one[column])
        assert scaled(found["total_usd"]) == sum(by_user.values())
        assert {one["user_id"]: scaled(one["value_usd"]) for one in found["top"]} == dict(by_user)
        total = sum(by_user.values())
        assert scaled(found["hhi"]) == sum(v * v for v in by_user.values()) * 10**18 // total**2
    cells = await api.data("/v1/risk/heatmap")
    assert sum(cell["positions"] for cell in cells) == len(held)
    assert sum(scaled(cell["debt_usd"]) for cell in cells) == sum(
        scaled(one["debt_value_usd"]) for one in held
    )


async def test_liquidators_and_bad_debt_are_those_of_the_liquidations(api: Client) -> None:
    rows = await api.walk("/v1/liquidations")
    assets = {
        (one["pool_id"], one["asset_address"]): int(one["scale"])
        for one in await api.walk("/v1/assets")
    }
    repaid: dict[str, int] = defaultdict(int)
    lost = 0
    for row in rows:
        scale = assets[row["pool_id"], row["debt_address"]]
        price = int(row["debt_price"])
        repaid[row["liquidator_address"]] += int(row["debt_repaid_raw"]) * price // scale
        lost += int(row["bad_debt_raw"]) * price // scale
    board = await api.data("/v1/liquidations/leaderboard")
    assert {one["liquidator_address"]: scaled(one["repaid_usd"]) for one in board} == dict(repaid)
    assert sum(one["liquidations"] for one in board) == len(rows)
    bad = await api.data("/v1/risk/bad-debt")
    assert scaled(bad["realised_usd"]) == lost > 0


async def test_the_last_change_of_each_limit_is_the_limit(
    api: Client,
    asked: past.Past,
) -> None:
    """The changes of a pair, applied in order, give pair_config() at every recorded block."""
    pools = {past.hexed(pool) for _, pool, _, _ in asked.recorded.answered("pair_config")}
    changes: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for pool in pools:
        said = await api.ask(f"/v1/pools/{pool}/config-history", limit=500, of="pair")
        for one in said.body["data"] if said.status == 200 else ():
            changes[pool, one["collateral_address"], one["debt_address"]].append(one)
    names = ("max_ltv_raw", "liquidation_factor_raw", "debt_cap_raw")
    compared = 0
    for block, pool, (collateral, debt), result in asked.recorded.answered("pair_config"):
        told = changes[past.hexed(pool), past.hexed(collateral), past.hexed(debt)]
        limits = {one["setting"]: int(one["after"]) for one in told if one["block_number"] <= block}
        assert [limits.get(name, 0) for name in names] == result
        compared += 3
    assert compared > 6_000


async def test_statistics_are_the_sums_of_what_is_listed(api: Client) -> None:
    stats = await api.data("/v1/stats")
    assets = await api.walk("/v1/assets", limit=500)
    supply = sum(scaled(one["total_supply_usd"]) for one in assets)
    assert scaled(stats["supply_usd"]) == supply
    positions = await api.walk("/v1/positions", limit=500, status="active")
    people = [one for one in positions if one["kind"] != "system"]
    found = stats["generations"][0]
    assert found["active_positions"] == len(people)
    assert found["users"] == len({one["user_id"] for one in people})
    rows = await api.walk("/v1/transactions", limit=500)
    counts = {one["type"]: one["effects"] for one in stats["effects"]}
    assert sum(counts.values()) == len(rows)


# --- users, caps, and what a lower limit endangers ------------------------------------------------


async def test_a_users_history_is_their_portfolio_at_each_point(api: Client) -> None:
    """Every point equals the portfolio asked for at its time, by day and at each own change."""
    rows = await api.data("/v1/positions", kind="borrow", nominal_debt_gte=1, limit=1)
    user = rows[0]["user_id"]
    names = ("collateral_usd", "earn_usd", "debt_usd", "net_usd", "unpriced", "lowest_health")
    compared = 0
    for interval in ("day", "block"):
        points = await api.data(f"/v1/users/{user}/portfolio/history", interval=interval, points=12)
        assert [one["time"] for one in points] == sorted(one["time"] for one in points)
        for one in points:
            whole = await api.data(f"/v1/users/{user}/portfolio", at_time=one["time"])
            assert {name: one[name] for name in names} == {name: whole[name] for name in names}
            assert one["positions"] == len(whole["positions"])
            compared += one["positions"] > 0
    assert compared > 5


async def test_caps_leave_what_the_debt_does_not_use(api: Client) -> None:
    pairs = {one["id"]: one for one in await api.walk("/v1/pools", is_configured="true")}
    caps = await api.walk("/v1/risk/caps")
    assert {one["id"] for one in caps} == pairs.keys()
    capped = [one for one in caps if one["debt_cap"] is not None]
    assert capped
    for one in capped:
        cap, debt = decimal.Decimal(one["debt_cap"]), decimal.Decimal(pairs[one["id"]]["pair_debt"])
        assert decimal.Decimal(one["headroom"]) == max(cap - debt, decimal.Decimal(0))
        assert abs(decimal.Decimal(one["used"]) - debt / cap) < decimal.Decimal("1e-17")
    assert all(one["headroom"] is None is one["used"] for one in caps if one not in capped)
    used = [
        decimal.Decimal(one["used"])
        for one in await api.walk("/v1/risk/caps", order="-used", limit=2)
        if one["used"] is not None
    ]
    assert used == sorted(used, reverse=True)


LOWERED = """
INSERT INTO pool_versions
SELECT (jsonb_populate_record(h, jsonb_build_object(
    'max_ltv_raw', div(h.max_ltv_raw * 9, 10), 'event_index', 1000))).*
FROM pool_versions h
WHERE h.id = $1::uuid
ORDER BY block_number DESC, transaction_index DESC, event_index DESC LIMIT 1
"""


async def test_a_lower_limit_says_what_it_endangered(indexed_copy: str) -> None:
    """Of the pair with the lowest healths: those that a tenth less brings below 1."""
    async with serving(indexed_copy) as api:
        rows = await api.data("/v1/positions", order="health_factor", kind="borrow", limit=500)
        near = next(one for one in rows if decimal.Decimal(one["health_factor"]) > 1)
        place = ("pool_id", "collateral_address", "debt_address")
        pair = (await api.data("/v1/pools", **{name: near[name] for name in place}))[0]
        newest = "SELECT max(block_number) FROM vesu_pool_history WHERE id = $1::uuid"
        block = await postgres.value(indexed_copy, newest, pair["id"])
        # Health as it is at that block with the limit before it.
        before = await api.walk("/v1/positions", at_block=block, **{n: near[n] for n in place})
    await postgres.fetch(indexed_copy, LOWERED, pair["id"])
    async with serving(indexed_copy) as api:
        changes = await api.walk(f"/v1/pools/{near['pool_id']}/config-history", limit=3)
    (one,) = [one for one in changes if one["setting"] == "max_ltv_raw" and one["endangered"]]
    assert int(one["after"]) == int(one["before"]) * 9 // 10
    lost = [
        each
        for each in before
        if each["health_factor"] is not None
        and decimal.Decimal(each["health_factor"])
        >= 1
        > decimal.Decimal(each["health_factor"]) * 9 / 10
    ]
    assert lost
    assert one["endangered"] == {
        "positions": len(lost),
        "debt_usd": format(sum(decimal.Decimal(each["debt_value_usd"]) for each in lost), "f"),
        "collateral_usd": format(
            sum(decimal.Decimal(each["collateral_value_usd"]) for each in lost), "f"
        ),
    }
    raised = [each for each in changes if each["setting"] == "max_ltv_raw" and each is not one]
    assert all(each["endangered"] is None for each in raised)
