"""The API over a recording: every list and state against the contracts' own views."""

from __future__ import annotations

import asyncio
import decimal
import json
from collections import defaultdict
from typing import Any
from urllib import parse

import pytest

from indexer.api import answering, gate
from tests import postgres
from tests.acceptance import past, truth
from tests.acceptance.api_client import Client, serving

# --- equal to the contracts' views --------------------------------------------------------


def moment(asked: past.Past, block: int) -> dict[str, object]:
    when = asked.when(block)
    return {"at_block": when} if isinstance(when, int) else {"at_time": when.isoformat()}


@pytest.fixture
async def asked(indexed: Any, recorded: truth.Recorded) -> past.Past:
    return await past.Past.of(indexed, recorded)


async def test_positions_equal_the_contract_at_every_block(api: Client, asked: past.Past) -> None:
    """position() of every recorded block: shares, nominal debt and both amounts."""
    kept: dict[int, dict[Any, Any]] = {}
    compared = 0
    for block, pool, calldata, result in asked.recorded.answered("position"):
        if block not in kept:
            rows = await api.walk("/v1/positions", limit=500, **moment(asked, block))
            kept[block] = {
                (
                    one["pool_id"],
                    one["collateral_address"],
                    one["debt_address"],
                    one["user_id"],
                ): one
                for one in rows
                if one["v_token"] is None
            }
        one = kept[block].get((past.hexed(pool), *map(past.hexed, calldata)))
        names = ("collateral_shares", "nominal_debt", "collateral_raw", "debt_raw")
        ours = [0, 0, 0, 0] if one is None else [int(one[name]) for name in names]
        assert ours == truth.u256s(result), f"position at block {block}"
        compared += 4
    assert compared > 10_000


async def test_assets_equal_the_contract(api: Client, asked: past.Past) -> None:
    """utilization() and rate_accumulator() at recorded blocks: every tenth, each a request."""
    compared = 0
    for view, name in (
        ("utilization", "utilization"),
        ("rate_accumulator", "last_rate_accumulator"),
    ):
        for block, pool, calldata, result in asked.recorded.answered(view)[::10]:
            rows = await api.data(
                "/v1/assets",
                pool_id=hex(pool),
                asset_address=hex(calldata[0]),
                **moment(asked, block),
            )
            ours = rows[0][name].replace(".", "") if view == "utilization" else rows[0][name]
            assert int(ours) == truth.u256s(result)[0], f"{view} at block {block}"
            compared += 1
    assert compared > 50


async def test_health_orders_positions(api: Client, asked: past.Past) -> None:
    """By health: ascending, NULL last, pages joined equal one page; filters bound it."""
    whole = await api.data("/v1/positions", order="health_factor", limit=500)
    healths = [one["health_factor"] for one in whole]
    known = [int(text.replace(".", "")) for text in healths if text is not None]
    assert known == sorted(known)
    assert healths[len(known) :] == [None] * (len(healths) - len(known))
    assert len(known) > 10
    paged = await api.walk("/v1/positions", order="health_factor", limit=7)
    assert paged == whole
    middle = healths[len(known) // 2]
    below = await api.data("/v1/positions", health_factor_lte=middle, limit=500)
    assert {one["id"] for one in below} == {one["id"] for one in whole[: len(known) // 2 + 1]}
    for one in whole[: len(known)]:
        if one["price_drop"] is not None:
            health = int(one["health_factor"].replace(".", ""))
            assert int(one["price_drop"].replace(".", "")) == (health - 10**18) * 10**18 // health
    del asked


# --- lists --------------------------------------------------------------------------------


LISTS = {
    "/v1/transactions": "SELECT id::text FROM vesu_transactions ORDER BY block_number DESC, "
    "transaction_index DESC, event_index DESC, leg DESC, id DESC",
    "/v1/liquidations": "SELECT id::text FROM vesu_liquidations ORDER BY block_number DESC, "
    "transaction_index DESC, event_index DESC, id DESC",
    "/v1/events": "SELECT concat_ws('/', block_number, transaction_index, event_index) FROM events "
    "ORDER BY block_number DESC, transaction_index DESC, event_index DESC",
    "/v1/blocks": "SELECT b.number::text FROM blocks b ORDER BY b.number DESC",
    "/v1/positions": 'SELECT p.id::text FROM vesu_positions p ORDER BY pool_id COLLATE "C", p.id',
}
PLACE = ("block_number", "transaction_index", "event_index")


def name_of(path: str, row: Any) -> str:
    if path == "/v1/events":
        return "/".join(str(row[name]) for name in PLACE)
    return str(row["number"] if path == "/v1/blocks" else row["id"])


@pytest.mark.parametrize("path", LISTS)
async def test_a_walk_gives_every_row_once_in_order(
    api: Client, indexed_url: str, path: str
) -> None:
    expected = [row[0] for row in await postgres.fetch(indexed_url, LISTS[path])]
    for limit in (7, 100):
        found = await api.walk(path, limit=limit)
        assert [name_of(path, row) for row in found] == expected


async def test_filters_and_orders(api: Client, indexed_url: str) -> None:
    rows = await postgres.fetch(
        indexed_url,
        "SELECT id::text, amount FROM vesu_transactions WHERE type IN ('borrow', 'repay') "
        "AND amount >= 1000 ORDER BY amount, block_number, transaction_index, event_index, leg, id",
    )
    found = await api.walk(
        "/v1/transactions", type_in="borrow,repay", amount_gte="1000", order="amount", limit=9
    )
    assert [one["id"] for one in found] == [row["id"] for row in rows]
    assert len(rows) > 10
    since = found[0]["timestamp"]
    later = await api.walk("/v1/transactions", timestamp_gte=since, order="timestamp")
    assert all(one["timestamp"] >= since for one in later)
    one = found[0]
    by_hash = await api.data(f"/v1/transactions/{one['transaction_hash']}")
    assert one["id"] in {row["id"] for row in by_hash["rows"]}
    assert {row["transaction_hash"] for row in by_hash["rows"]} == {one["transaction_hash"]}
    assert (by_hash["seen"], by_hash["block_number"]) == ("indexed", one["block_number"])
    unknown = await api.data("/v1/transactions/0x1")
    assert (unknown["seen"], unknown["block_number"], unknown["rows"]) == ("not_seen", None, [])


async def test_addresses_in_any_spelling(api: Client) -> None:
    """Padded, unpadded and upper-case: the same rows; output always 0x and 64 digits."""
    one = (await api.data("/v1/positions", kind="borrow", limit=1))[0]
    value = int(one["user_id"], 16)
    spellings = (hex(value), f"0x{value:064x}", f"0X{value:X}", f"0x{value:064X}")
    found = [await api.data("/v1/positions", user_id=text) for text in spellings]
    assert found[0]
    assert all(rows == found[0] for rows in found)
    by_path = [await api.data(f"/v1/users/{text}/positions") for text in spellings]
    assert all(rows == found[0] for rows in by_path)
    prime = 2**251 + 17 * 2**192 + 1
    for text in (hex(prime), hex(2**256 - 1), "0x", "12", "0x" + "0" * 65, "0xg"):
        said = await api.ask("/v1/positions", user_id=text)
        assert (said.status, said.body["parameter"]) == (400, "user_id"), text
        said = await api.ask(f"/v1/users/{text}/portfolio")
        assert (said.status, said.body["parameter"]) == (400, "user"), text
    assert await api.data("/v1/positions", user_id=hex(prime - 1)) == []


# --- the envelope -------------------------------------------------------------------------


async def test_meta_and_headers(api: Client, asked: past.Past) -> None:
    last = asked.recorded.last_block
    said = await api.ask("/v1/pools", limit=1)
    meta = said.body["meta"]
    assert meta["block_number"] == last
    assert int(meta["block_hash"], 16) == int(asked.recorded.hashes[last], 16)
    assert meta["block_time"] == meta["valued_at"]
    assert meta["fork"] == 0
    assert meta["is_suspect"] is False
    assert meta["age_seconds"] > 0
    assert said.headers["x-vesu-block"] == str(last)
    again = await api.ask("/v1/pools?limit=1", headers={"if-none-match": said.headers["etag"]})
    assert (again.status, again.raw) == (304, b"")
    assert again.headers["etag"] == said.headers["etag"]
    other = await api.ask("/v1/pools?limit=2", headers={"if-none-match": said.headers["etag"]})
    assert other.status == 200
    block = min(asked.stored - {0})
    pinned = await api.ask("/v1/assets", at_block=block)
    assert pinned.body["meta"]["block_number"] == block
    assert pinned.body["meta"]["age_seconds"] == 0
    by_hash = await api.ask("/v1/assets", at_hash=pinned.body["meta"]["block_hash"])
    assert by_hash.body == pinned.body
    assert (await api.ask("/v1/assets", at_block=block)).raw == pinned.raw


async def test_mistakes_are_told_by_name(api: Client, asked: past.Past) -> None:
    last = asked.recorded.last_block
    for path, query, status, parameter in (
        ("/v1/pools", {"limit": 501}, 400, "limit"),
        ("/v1/pools", {"limit": 0}, 400, "limit"),
        ("/v1/pools", {"limit": "x"}, 400, "limit"),
        ("/v1/pools", {"order": "nothing"}, 400, "order"),
        ("/v1/pools", {"nothing": 1}, 400, "nothing"),
        ("/v1/pools", {"max_ltv_gte": "1e3"}, 400, "max_ltv_gte"),
        ("/v1/pools", {"is_active": "yes"}, 400, "is_active"),
        ("/v1/pools", {"id": "x"}, 400, "id"),
        ("/v1/pools", {"at_block": -1}, 400, "at_block"),
        ("/v1/pools", {"at_block": 2**63}, 400, "at_block"),
        ("/v1/pools", {"at_time": "soon"}, 400, "at_time"),
        ("/v1/pools", {"at_time": "9999-12-31T23:59:59Z"}, 400, "at_time"),
        ("/v1/pools", {"at_block": 1, "at_time": 1}, 400, "at_time"),
        ("/v1/pools", {"at_time": 1}, 404, "at_time"),
        ("/v1/pools", {"at_hash": "0x1"}, 404, "at_hash"),
        ("/v1/pools", {"at_block": last + 1}, 425, "at_block"),
        ("/v1/pools", {"cursor": "AAAA"}, 400, "cursor"),
        ("/v1/pools", {"cursor": "é"}, 400, "cursor"),
        ("/v1/transactions", {"type": "steal"}, 400, "type"),
        ("/v1/transactions", {"type_in": ",".join(["borrow"] * 101)}, 400, "type_in"),
        ("/v1/transactions", {"asset": "a\x00b"}, 400, "asset"),
        ("/v1/pools/0x1", {}, 404, "pool"),
        ("/v1/assets/7b52a55c-8e0b-5c4e-9d1f-0d8a9f6f2f11", {}, 404, "id"),
        ("/v1/positions/7b52a55c-8e0b-5c4e-9d1f-0d8a9f6f2f11", {}, 404, "id"),
        ("/v1/positions/x", {}, 400, "id"),
    ):
        said = await api.ask(path, **query)
        told = (said.status, said.body.get("parameter"))
        assert told == (status, parameter), f"{path} {query}: {said.body}"
        assert said.headers["content-type"] == "application/problem+json"
        assert said.body["status"] == status
    twice = await api.ask("/v1/pools?limit=1&limit=2")
    assert (twice.status, twice.body["parameter"]) == (400, "limit")
    assert (await api.ask("/v1/nothing")).status == 404


async def test_a_cursor_belongs_to_its_question(api: Client) -> None:
    first = await api.get("/v1/transactions", limit=3, type="borrow")
    cursor = first["next"]
    for path, query in (
        ("/v1/transactions", {"type": "repay"}),
        ("/v1/liquidations", {}),
        ("/v1/transactions", {"type": "borrow", "order": "amount"}),
    ):
        said = await api.ask(path, cursor=cursor, **query)
        assert (said.status, said.body["parameter"]) == (400, "cursor")
    for text in (cursor[:-1], "A" + cursor[1:], cursor + "A", cursor.swapcase()):
        said = await api.ask("/v1/transactions", type="borrow", cursor=text)
        assert (said.status, said.body["parameter"]) == (400, "cursor")


async def test_waiting_for_a_block(api: Client, asked: past.Past, monkeypatch: Any) -> None:
    monkeypatch.setattr(answering, "WAIT_SECONDS", 0.3)
    last = asked.recorded.last_block
    assert (await api.ask("/v1/pools", min_block=last, limit=1)).status == 200
    said = await api.ask("/v1/pools", min_block=last + 1, limit=1)
    assert (said.status, said.body["parameter"]) == (425, "min_block")
    assert int(said.headers["retry-after"]) > 0
    assert (await api.ask("/v1/pools", min_block=10**15, limit=1)).status == 425
    said = await api.ask(
        "/v1/pools", min_block=last + 1, at_block=1, at_time="2025-10-02T12:00:00Z"
    )
    assert (said.status, said.body["parameter"]) == (400, "at_time"), "refused before it waits"


def summed(rows: list[Any], name: str) -> decimal.Decimal:
    with decimal.localcontext(prec=200):
        return sum((decimal.Decimal(one[name]) for one in rows), decimal.Decimal())


async def test_a_portfolio_is_its_positions(api: Client) -> None:
    users: dict[str, list[Any]] = defaultdict(list)
    for one in await api.walk("/v1/positions", status="active"):
        users[one["user_id"]].append(one)
    for user, held in list(users.items())[:20]:
        found = await api.data(f"/v1/users/{user}/portfolio")
        assert sorted(one["id"] for one in found["positions"]) == sorted(one["id"] for one in held)
        assert decimal.Decimal(found["debt_usd"]) == summed(held, "debt_value_usd")
        earned = [one for one in held if one["kind"] == "earn"]
        pledged = [one for one in held if one["kind"] != "earn"]
        assert decimal.Decimal(found["earn_usd"]) == summed(earned, "collateral_value_usd")
        assert decimal.Decimal(found["collateral_usd"]) == summed(pledged, "collateral_value_usd")
    nobody = await api.data("/v1/users/0xb0b/portfolio")
    assert (nobody["positions"], nobody["net_usd"]) == ([], "0")


# --- keys, rates, refusals ----------------------------------------------------------------


async def test_keys_and_rates(indexed_url: str) -> None:
    rules = gate.Rules(keys=("secret-one", "secret-two"), is_key_required=True)
    async with serving(indexed_url, rules=rules) as api:
        for sent in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic secret-one"}):
            said = await api.ask("/v1/status", headers=sent)
            assert said.status == 401
            assert said.headers["www-authenticate"] == "Bearer"
        for key in rules.keys:
            said = await api.ask("/v1/status", headers={"authorization": f"Bearer {key}"})
            assert said.status == 200
        assert (await api.ask("/health")).status in (200, 503)
    async with serving(indexed_url, rules=gate.Rules(requests_per_minute=60)) as api:
        told = [(await api.ask("/v1/blocks", limit=1)).status for _ in range(15)]
        assert told[:10] == [200] * 10
        assert 429 in told[10:]
        assert (await api.ask("/ready")).status == 200


async def test_more_than_may_be_in_hand_is_told_to_come_again(indexed_url: str) -> None:
    async with serving(indexed_url, rules=gate.Rules(most_at_once=1)) as api:
        waits = asyncio.create_task(api.ask("/v1/pools", min_block=10_000))
        await asyncio.sleep(0.3)
        said = await api.ask("/v1/pools")
        assert said.status == 503
        assert int(said.headers["retry-after"]) > 0
        waits.cancel()


async def test_another_origin_is_let_in_where_it_is_configured(indexed_url: str) -> None:
    sent = {"origin": "https://app.example"}
    async with serving(indexed_url) as api:
        said = await api.ask("/v1/blocks", headers=sent)
        assert "access-control-allow-origin" not in said.headers
    async with serving(indexed_url, cors_origins=("https://app.example",)) as api:
        said = await api.ask("/v1/blocks", headers=sent)
        assert said.headers["access-control-allow-origin"] == "https://app.example"
        other = await api.ask("/v1/blocks", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_a_stopped_database_is_503(indexed_once: str) -> None:
    async with postgres.fresh_database(copy_of=indexed_once) as url, serving(url) as api:
        assert (await api.ask("/v1/pools")).status == 200
        name = parse.urlsplit(url).path.removeprefix("/")
        await postgres.execute(postgres.server_url(), f'DROP DATABASE "{name}" WITH (FORCE)')
        for path in ("/v1/pools", "/v1/status", "/v1/transactions", "/v1/users/0x1/portfolio"):
            said = await api.ask(path)
            assert said.status == 503, said.body
            assert said.headers["content-type"] == "application/problem+json"
            assert int(said.headers["retry-after"]) > 0


async def test_nothing_committed_is_503(
    empty_database_url: str, migrated_database_url: str
) -> None:
    for url in (empty_database_url, migrated_database_url):
        async with serving(url) as api:
            for path in ("/v1/pools", "/v1/status", "/v1/transactions"):
                said = await api.ask(path)
                assert said.status == 503, said.body
                assert int(said.headers["retry-after"]) > 0


async def test_the_document_describes_every_route(api: Client) -> None:
    document = await api.get("/openapi.json")
    assert document["openapi"] == "3.1.0"
    text = json.dumps(document)
    for path, operations in document["paths"].items():
        operation = operations["post" if path == "/v1/watch" else "get"]
        names = [one["name"] for one in operation["parameters"]]
        assert len(names) == len(set(names)), path
        content = operation["responses"]["200"]["content"]
        if not path.startswith("/v1/export/"):
            assert content["application/json"]["schema"]["properties"]["data"], path
    assert "http://" not in text
    assert "https://" not in text
