"""Quotes, simulations, exports and compatible shapes over HTTP; and what holds for every answer."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from indexer.query import markets, opportunities, quotes, simulate
from tests import postgres
from tests.acceptance import stage, truth
from tests.acceptance.api_client import Client, serving


async def borrowers(api: Client) -> list[Any]:
    found = await api.data("/v1/positions", kind="borrow", nominal_debt_gte=1, limit=8)
    assert len(found) > 5
    return list(found)


def said(one: Any) -> dict[str, object]:
    return {
        "pool": one["pool_id"],
        "collateral": one["collateral_address"],
        "debt": one["debt_address"],
        "user": one["user_id"],
    }


def wanted(one: Any) -> markets.PositionRef:
    return markets.PositionRef(*(int(str(value), 16) for value in said(one).values()))


async def test_quotes_are_those_of_the_query(api: Client, indexed: asyncpg.Connection) -> None:
    """What they equal of the contract: test_quotes.py and test_recorded_actions.py."""
    for one in await borrowers(api):
        position = wanted(one)
        found = await api.data("/v1/quotes/max-borrow", **said(one))
        assert found["amount_raw"] == (await quotes.max_borrow(indexed, position)).amount_raw
        found = await api.data("/v1/quotes/max-withdraw", **said(one))
        assert found["amount_raw"] == (await quotes.max_withdraw(indexed, position)).amount_raw
        found = await api.data("/v1/quotes/total-repay", margin_seconds=600, **said(one))
        assert found["amount_raw"] == one["debt_raw"]
        later = await quotes.total_repay(indexed, position, margin_seconds=600)
        assert found["with_margin_raw"] == later.with_margin_raw
        found = await api.data("/v1/quotes/supply-estimate", amount="1.5", **said(one))
        brought = await quotes.supply_estimate(indexed, position, Decimal("1.5"))
        assert found["shares"] == brought.shares
        actions = "supply=1.5,borrow=raw:1000"
        by_id = await api.data(f"/v1/positions/{one['id']}/simulate", actions=actions)
        by_parts = await api.data("/v1/simulate", actions=actions, **said(one))
        assert by_id == by_parts
        steps = [simulate.parse(text) for text in actions.split(",")]
        ran = await simulate.simulate(indexed, position, steps)
        assert by_id["after"]["health_factor"] == ran.after.health_factor
        health = await api.data(f"/v1/positions/{one['id']}/health")
        assert health["health_factor"] == one["health_factor"]
        assert health["is_liquidatable"] is (Decimal(one["health_factor"]) < 1)


async def test_opportunities_are_those_of_the_query(
    api: Client, indexed: asyncpg.Connection
) -> None:
    one = (await borrowers(api))[0]
    change = f"{one['collateral_address']}:-0.6"
    found = await api.data("/v1/liquidations/opportunities", price_changes=change, gas_usd="0.5")
    conditions = markets.Conditions(
        price_changes={int(one["collateral_address"], 16): Decimal("-0.6")}
    )
    terms = opportunities.Terms(gas_usd=Decimal("0.5"))
    ours = await opportunities.find(indexed, terms, conditions=conditions)
    profits = [entry.net_profit_usd for entry in ours.opportunities]
    assert [entry["net_profit_usd"] for entry in found["opportunities"]] == profits
    assert profits


async def test_mistakes_of_questions_are_named(api: Client) -> None:
    one = (await borrowers(api))[0]
    path = f"/v1/positions/{one['id']}/simulate"
    for query, parameter in (
        ({}, "actions"),
        ({"actions": "steal=1"}, "actions"),
        ({"actions": ",".join(["supply=1"] * 11)}, "actions"),
        ({"actions": "supply=max"}, "actions"),
        ({"actions": "supply=1", "price_changes": "0x1"}, "price_changes"),
        ({"actions": "supply=1", "price_changes": "x:-0.1"}, "price_changes"),
        ({"actions": "supply=1", "ahead_seconds": "-1"}, "ahead_seconds"),
    ):
        answer = await api.ask(path, **query)
        assert (answer.status, answer.body.get("parameter")) == (400, parameter), answer.body
    answer = await api.ask("/v1/quotes/max-borrow", pool="0x1")
    assert (answer.status, answer.body["parameter"]) == (400, "collateral")
    answer = await api.ask("/v1/quotes/supply-estimate", **said(one))
    assert (answer.status, answer.body["parameter"]) == (400, "amount")


# --- exports ------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["vesu_transactions", "vesu_positions", "events"])
async def test_an_export_is_the_table(api: Client, indexed_url: str, table: str) -> None:
    rows = await postgres.value(indexed_url, f"SELECT count(*) FROM {table}")
    async with api.session.get(f"/v1/export/{table}?format=csv") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/csv"
        read = list(csv.DictReader(io.StringIO(await answer.text())))
    assert len(read) == rows > 0
    async with api.session.get(f"/v1/export/{table}") as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
        assert answer.headers["x-vesu-block"] == "125"
    assert len(lines) == rows
    keys = ("transaction_hash", "id")
    key = next(name for name in keys if name in lines[0])
    assert [line[key] for line in lines] == [row[key] for row in read]


async def test_only_public_tables_leave(api: Client) -> None:
    for table in ("cursor", "chain_head", "watches", "pg_authid", "nothing"):
        answer = await api.ask(f"/v1/export/{table}")
        assert (answer.status, answer.body["parameter"]) == (404, "table")
    answer = await api.ask("/v1/export/vesu_positions", at_block=10**6)
    assert (answer.status, answer.body["parameter"]) == (425, "at_block")


# --- other services' words ----------------------------------------------------------------


async def test_compatible_shapes_hold_the_same_numbers(
    api: Client, recorded: truth.Recorded
) -> None:
    rates = {
        (pool, calldata[0]): truth.u256s(result)[0]
        for block, pool, calldata, result in recorded.answered("interest_rate")
        if block == recorded.last_block
    }
    assets = {(one["pool_id"], one["asset_address"]): one for one in await api.walk("/v1/assets")}
    llama = await api.data("/v1/compat/defillama/pools")
    assert len(llama) == len(assets)
    for one in llama:
        pool, token, _ = one["pool"].split("-")
        ours = assets[pool, token]
        assert one["underlyingTokens"] == [token]
        cents = Decimal(str(one["totalSupplyUsd"])) * 100
        assert cents == int(Decimal(ours["total_supply_usd"]) * 100)
        assert abs(Decimal(str(one["apyBase"])) - Decimal(ours["supply_apy"]) * 100) < Decimal(
            "1e-6"
        )
        assert 0 <= one["ltv"] < 1
    pools = await api.data("/v1/compat/vesu/pools")
    seen = compared = 0
    for pool in pools:
        for one in pool["assets"]:
            ours = assets[pool["id"], one["address"]]
            assert one["stats"]["totalDebt"]["value"] == ours["total_borrow_raw"]
            assert one["usdPrice"] == {"value": ours["price"], "decimals": 18}
            place = (int(pool["id"], 16), int(one["address"], 16))
            if place in rates:
                # A simple yearly rate: the contract's rate per second times 365 days.
                yearly = {"value": str(rates[place] * 365 * 86_400), "decimals": 18}
                assert one["stats"]["borrowApr"] == yearly
                compared += 1
            seen += 1
    assert compared > 10
    assert seen == len(assets)
    fees = await api.data("/v1/fees")
    theirs = await api.data("/v1/compat/defillama/fees")
    assert Decimal(str(theirs["dailyFees"])) * 100 == int(Decimal(fees["interest_usd"]) * 100)
    user = (await borrowers(api))[0]["user_id"]
    held = await api.data("/v1/compat/vesu/positions", walletAddress=user, type="borrow")
    mine = await api.walk("/v1/positions", user_id=user, kind="borrow", status="active")
    assert {one["id"] for one in held} == {one["id"] for one in mine}
    by_id = {one["id"]: one for one in mine}
    for one in held:
        ours = by_id[one["id"]]
        assert one["nominalDebt"] == {"value": ours["nominal_debt"], "decimals": 18}
        assert one["debt"]["value"] == ours["debt_raw"]
        if ours["health_factor"] is None:
            continue  # nothing is owed
        worth = Decimal(one["debt"]["usdPrice"]["value"]).scaleb(-18)
        assert worth == Decimal(ours["debt_value_usd"])
        health, limit = Decimal(ours["health_factor"]), one["ltv"]["max"]
        current = Decimal(one["ltv"]["current"]["value"])
        # health = max LTV / LTV, each of them rounded down.
        assert abs(Decimal(limit["value"]) / current - health) < Decimal("1e-12")


async def test_markets_and_histories_of_the_protocols_own_shape(
    api: Client, recorded: truth.Recorded, indexed_url: str
) -> None:
    """Every asset of every pool, with the recorded views' prices; every effect of a user."""
    prices = {
        (pool, calldata[0]): truth.u256s(result[:2])[0]
        for block, pool, calldata, result in recorded.answered("price")
        if block == recorded.last_block
    }
    pools = await api.data("/v1/compat/vesu/pools")
    markets = await api.data("/v1/compat/vesu/markets")
    names = ("id", "name", "protocolVersion", "address")
    assert markets == [
        asset | {"pool": {name: pool[name] for name in names}}
        for pool in pools
        for asset in pool["assets"]
    ]
    met = 0
    for one in markets:
        place = (int(one["pool"]["id"], 16), int(one["address"], 16))
        if place in prices and one["usdPrice"] is not None:
            met += int(one["usdPrice"]["value"]) == prices[place]
    assert met > 3, "prices that have not changed since they were told"
    rows = await postgres.fetch(
        indexed_url,
        "SELECT t.transaction_hash, t.block_number, t.type, t.asset_address, t.pool_id, "
        "abs(t.amount_raw)::text AS raw, t.amount, t.user_id FROM vesu_transactions t "
        "WHERE t.user_id = (SELECT user_id "
        "FROM vesu_transactions GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1) ORDER BY "
        "t.block_number DESC, t.transaction_index DESC, t.event_index DESC, t.leg DESC, t.id DESC",
    )
    told = await api.walk(f"/v1/compat/vesu/users/{rows[0]['user_id']}/history", limit=7)
    assert len(rows) > 7
    assert [
        (
            one["txHash"],
            one["blockNumber"],
            one["type"],
            one["asset"]["address"],
            one["pool"]["id"],
            one["amount"]["value"],
            Decimal(one["amount"]["value"]).scaleb(-one["amount"]["decimals"]),
        )
        for one in told
    ] == [tuple(row)[:7] for row in rows]


# --- what holds for every answer ----------------------------------------------------------


async def answers(api: Client, block: int = 125) -> dict[str, bytes]:
    """One answer of every route that needs no more than an id, pinned to a block."""
    asked = {"kind": "borrow", "nominal_debt_gte": 1, "limit": 1, "at_block": block}
    one = (await api.data("/v1/positions", **asked))[0]
    asset = (await api.data("/v1/assets", pool_id=one["pool_id"], limit=1))[0]
    effect = (await api.data("/v1/transactions", limit=1, at_block=block))[0]
    values = {"pool": one["pool_id"], "user": one["user_id"], "hash": effect["transaction_hash"]}
    document = await api.get("/openapi.json")
    found: dict[str, bytes] = {}
    for path, operations in document["paths"].items():
        parameters = operations.get("get", {"parameters": []})["parameters"]
        names = {parameter["name"] for parameter in parameters}
        if path.startswith("/v1/export") or "at_block" not in names:
            continue
        query: dict[str, object] = {"at_block": block}
        if {"collateral", "debt"} <= names:
            query |= said(one)
        query |= {
            name: value
            for name, value in (("actions", "supply=1"), ("walletAddress", one["user_id"]))
            if name in names
        }
        if path.endswith("supply-estimate"):
            query["amount"] = "1"
        ids = {"id": asset["id"] if path.startswith("/v1/assets") else one["id"]}
        target = path.format(**values, **ids)
        answer = await api.ask(target, **query)
        assert answer.status == 200, (target, answer.body)
        found[target] = answer.raw
    assert len(found) > 35
    return found


async def test_no_number_is_too_large_for_json(api: Client) -> None:
    """Whole numbers up to 2^53; no number with more digits than a double keeps."""
    for path, raw in (await answers(api)).items():

        def whole(text: str, path: str = path) -> int:
            assert abs(int(text)) <= 2**53, (path, text)
            return int(text)

        def part(text: str, path: str = path) -> float:
            assert len(text.replace(".", "").lstrip("-0")) <= 15, (path, text)
            assert re.fullmatch(r"-?\d+\.\d+", text), (path, text)
            return float(text)

        json.loads(raw, parse_int=whole, parse_float=part)


async def test_the_same_address_gives_the_same_bytes_after_a_replay(
    recorded: truth.Recorded, indexed_copy: str
) -> None:
    async with serving(indexed_copy) as api:
        before = await answers(api)
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_copy)
    await stage.command(environ, "replay", "--from-block", "0")
    async with serving(indexed_copy) as api:
        after = await answers(api)
    clocked = ("/v1/proof", "/v1/status")
    for path, raw in before.items():
        if path not in clocked:
            assert after[path] == raw, path
