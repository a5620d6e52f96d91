"""Listed pools count in every sum, the rest stands apart; another list replays nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from indexer import config
from indexer.app import listed
from indexer.recording import server
from tests import postgres
from tests.acceptance import api_client, stage, truth

ADDRESSES = Path(__file__).parents[1] / "data" / "addresses.json"


async def listing(recorded: truth.Recorded, url: str, *pool_ids: str) -> dict[str, str]:
    """Start `run` with a list (none: every pool); the environment of further commands."""
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, url, VESU_TRUST_POOLS=" ".join(pool_ids))
        last = str(recorded.last_block)
        await stage.command(environ, "run", "--until-block", last, "--no-serve")
    return environ


async def marked(url: str) -> dict[str, set[bool]]:
    """What the rows of each pool say."""
    found: dict[str, set[bool]] = {}
    for table in ("vesu_pools", "vesu_assets", "vesu_positions"):
        for row in await postgres.fetch(url, f"SELECT DISTINCT pool_id, is_listed FROM {table}"):
            found.setdefault(row["pool_id"], set()).add(row["is_listed"])
    return found


def usd(rows: Iterable[dict[str, Any]], column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows if row[column] is not None), Decimal(0))


def test_mainnets_list_is_the_address_books() -> None:
    known = json.loads(ADDRESSES.read_text())
    expected = {*known["v1_pools"], *known["v1_1_pools"], *known["v2_pools"]}
    settings = config.load(None, {"HOME": "/home", "VESU_TRUST_POOLS": "0xabc"}, {})
    found = {one.pool_id: one.origin for one in listed.pools(settings)}
    assert found.pop(f"0x{0xABC:064x}") == "configuration"
    assert set(found) == expected
    assert set(found.values()) == {"package"}


async def test_another_list_changes_rows_and_no_state(
    recorded: truth.Recorded, indexed_copy: str
) -> None:
    pools = sorted(await marked(indexed_copy))
    assert await marked(indexed_copy) == {pool: {True} for pool in pools}
    environ = await listing(recorded, indexed_copy)
    before = await stage.json_of(environ, "digest")
    await listing(recorded, indexed_copy, pools[0], pools[2])
    chosen = {pools[0], pools[2]}
    assert await marked(indexed_copy) == {pool: {pool in chosen} for pool in pools}
    assert await stage.json_of(environ, "digest") == before
    await stage.command(environ, "replay", "--from-block", "0", "--shadow")
    await stage.command(environ, "replay", "--from-block", "0")
    assert await marked(indexed_copy) == {pool: {pool in chosen} for pool in pools}
    await listing(recorded, indexed_copy)
    assert await marked(indexed_copy) == {pool: {True} for pool in pools}


async def test_rows_say_so_from_the_first_block_on(
    recorded: truth.Recorded, indexed_copy: str, migrated_database_url: str
) -> None:
    """The list of a new database, and one that is given later, make the same rows."""
    pools = sorted(await marked(indexed_copy))
    await listing(recorded, indexed_copy, pools[1])
    await listing(recorded, migrated_database_url, pools[1])
    for table in ("vesu_pools", "vesu_assets", "vesu_positions"):
        statement = f"SELECT id, pool_id, is_listed FROM {table} ORDER BY id, pool_id"
        found = await postgres.fetch(migrated_database_url, statement)
        assert found == await postgres.fetch(indexed_copy, statement)


async def test_sums_count_listed_pools_and_show_the_rest(
    recorded: truth.Recorded, indexed_copy: str
) -> None:
    pools = sorted(await marked(indexed_copy))
    environ = await listing(recorded, indexed_copy)
    whole = await stage.json_of(environ, "totals")
    assert whole["unlisted"] == {"supply_usd": "0", "borrow_usd": "0", "unpriced": []}
    await listing(recorded, indexed_copy, pools[0], pools[2])
    totals = await stage.json_of(environ, "totals")
    apart = [one for one in totals["pools"] if not one["is_listed"]]
    assert {one["pool_id"] for one in totals["pools"]} - {one["pool_id"] for one in apart} == {
        pools[0],
        pools[2],
    }
    for column in ("supply_usd", "borrow_usd"):
        counted = usd((one for one in totals["pools"] if one["is_listed"]), column)
        assert Decimal(totals[column]) == counted
        assert Decimal(totals["unlisted"][column]) == usd(apart, column)
        assert Decimal(whole[column]) == counted + usd(apart, column)
    async with api_client.serving(indexed_copy) as api:
        stats = await api.data("/v1/stats")
        history = await api.data("/v1/stats/history", interval="hour", points=1)
        lists = {
            is_listed: {one["pool_id"] for one in await api.data(path, is_listed=is_listed)}
            for path in ("/v1/pools", "/v1/positions", "/v1/assets")
            for is_listed in ("true", "false")
        }
        concentration = await api.data("/v1/risk/concentration")
        board = await api.data("/v1/liquidations/leaderboard")
    assert stats["supply_usd"] == totals["supply_usd"]
    assert stats["unlisted"] == totals["unlisted"]
    assert [one["pools"] for one in stats["generations"]] == [2]
    assert [one["unlisted"]["pools"] for one in stats["generations"]] == [len(pools) - 2]
    assert Decimal(history[0]["unlisted"]["supply_usd"]) > 0
    assert lists == {"true": {pools[0], pools[2]}, "false": set(pools) - {pools[0], pools[2]}}
    statement = (
        "SELECT is_listed, count(*) AS count, sum(debt_value_usd) AS owed FROM vesu_positions "
        "WHERE nominal_debt > 0 GROUP BY is_listed"
    )
    owing = {row["is_listed"]: row for row in await postgres.fetch(indexed_copy, statement)}
    assert Decimal(concentration["total_usd"]) == owing[True]["owed"]
    assert concentration["unlisted"]["positions"] == owing[False]["count"]
    assert Decimal(concentration["unlisted"]["debt_usd"]) == owing[False]["owed"]
    counts = await postgres.fetch(
        indexed_copy,
        "SELECT count(*) FILTER (WHERE p.is_listed) AS counted, count(*) AS every "
        "FROM vesu_liquidations l JOIN vesu_positions p "
        "ON (p.pool_id, p.id) = (l.pool_id, l.position_id)",
    )
    assert sum(one["liquidations"] for one in board) == counts[0]["counted"]
    apart_count = sum(one["unlisted"]["liquidations"] for one in board)
    assert apart_count == counts[0]["every"] - counts[0]["counted"]
    assert 0 < counts[0]["counted"] < counts[0]["every"]


async def test_a_portfolio_counts_listed_pools(recorded: truth.Recorded, indexed_copy: str) -> None:
    statement = (
        "SELECT user_id FROM vesu_positions WHERE status = 'active' AND kind <> 'system' "
        "GROUP BY user_id ORDER BY count(DISTINCT pool_id) DESC, user_id LIMIT 1"
    )
    user = await postgres.value(indexed_copy, statement)
    held = await postgres.fetch(
        indexed_copy,
        "SELECT DISTINCT pool_id FROM vesu_positions WHERE user_id = $1 AND status = 'active'",
        user,
    )
    assert len(held) > 1
    environ = await listing(recorded, indexed_copy)
    whole = await stage.json_of(environ, "portfolio", user)
    point = f"/v1/users/{user}/portfolio/history"
    async with api_client.serving(indexed_copy) as api:
        (whole_point,) = await api.data(point, interval="hour", points=1)
        every_pool = await api.data("/v1/compat/vesu/pools")
    await listing(recorded, indexed_copy, held[0]["pool_id"])
    async with api_client.serving(indexed_copy) as api:
        (found_point,) = await api.data(point, interval="hour", points=1)
        shown = await api.data("/v1/compat/vesu/pools")
        others = await api.data("/v1/compat/vesu/pools", is_listed="false")
        markets = await api.data("/v1/compat/vesu/markets", is_listed="false")
    for name in ("collateral_usd", "earn_usd", "debt_usd", "net_usd"):
        apart_point = Decimal(found_point["unlisted"][name])
        assert Decimal(found_point[name]) + apart_point == Decimal(whole_point[name])
    assert found_point["unlisted"] != whole_point["unlisted"]
    assert 0 < found_point["positions"] < whole_point["positions"]
    assert [one["id"] for one in shown] == [held[0]["pool_id"]]
    assert {one["id"] for one in others} == {one["id"] for one in every_pool} - {shown[0]["id"]}
    assert len(markets) == sum(len(one["assets"]) for one in others)
    found = await stage.json_of(environ, "portfolio", user)
    assert len(found["positions"]) == len(whole["positions"])
    for name in ("collateral_usd", "earn_usd", "debt_usd", "net_usd"):
        assert Decimal(found[name]) + Decimal(found["unlisted"][name]) == Decimal(whole[name])
    counted = [one for one in found["positions"] if one["is_listed"]]
    assert {one["pool_id"] for one in counted} == {held[0]["pool_id"]}
    assert Decimal(found["debt_usd"]) == usd(counted, "debt_value_usd")
    for flag, is_listed in (("--listed", True), ("--unlisted", False)):
        rows = (await stage.json_of(environ, "positions", "--user", user, flag))["positions"]
        assert rows
        assert {one["is_listed"] for one in rows} == {is_listed}
        pairs = (await stage.json_of(environ, "pools", flag))["pools"]
        assert {one["is_listed"] for one in pairs} == {is_listed}
