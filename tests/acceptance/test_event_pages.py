"""Events of a name, of a contract, or of both: all of them, in their order, page by page."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from indexer.query import event_pages, filters, listing
from tests.acceptance.api_client import Client

Key = tuple[int, int, int]


async def keys(connection: asyncpg.Connection, where: str, *args: Any) -> list[Key]:
    """The places of the view's rows, the newest first."""
    rows = await connection.fetch(
        "SELECT block_number, transaction_index, event_index FROM events "
        f"WHERE {where} ORDER BY 1 DESC, 2 DESC, 3 DESC",
        *args,
    )
    return [tuple(row) for row in rows]


def places(found: list[dict[str, Any]]) -> list[Key]:
    return [(row["block_number"], row["transaction_index"], row["event_index"]) for row in found]


async def test_the_events_of_each_name_and_contract(
    api: Client, indexed: asyncpg.Connection
) -> None:
    """Alone and together, each as the view has them; and those of each kind of contract."""
    for kind in [
        row["contract"] for row in await indexed.fetch("SELECT DISTINCT contract FROM events")
    ]:
        found = await api.walk("/v1/events", contract=kind, limit=101)
        assert places(found) == await keys(indexed, "contract = $1", kind)
    pairs = [tuple(row) for row in await indexed.fetch("SELECT name, from_address FROM events")]
    for name in sorted({name for name, _ in pairs if name}):
        found = await api.walk("/v1/events", name=name, limit=37)
        assert places(found) == await keys(indexed, "name = $1", name)
    for address in sorted({address for _, address in pairs}):
        found = await api.walk("/v1/events", from_address=address, limit=500)
        assert places(found) == await keys(indexed, "from_address = $1", address)
    for name, address in sorted({pair for pair in pairs if pair[0]})[::3]:
        found = await api.walk("/v1/events", name=name, from_address=address, limit=50)
        assert places(found) == await keys(
            indexed, "name = $1 AND from_address = $2", name, address
        )


@pytest.mark.parametrize("count", [1, 2, listing.MOST_APART, 12])
async def test_several_names_in_one_order(
    api: Client, indexed: asyncpg.Connection, count: int
) -> None:
    """Read one by one and merged; of many names in the way that PostgreSQL chooses."""
    found = await indexed.fetch(
        "SELECT DISTINCT name FROM events WHERE name IS NOT NULL ORDER BY 1"
    )
    names = [row["name"] for row in found][:count]
    assert len(names) == count
    asked: dict[str, Any] = {"name_in": ",".join(names), "limit": 29, "block_number_gte": 3}
    expected = await keys(indexed, "name = ANY ($1) AND block_number >= 3", names)
    assert places(await api.walk("/v1/events", **asked)) == expected
    oldest = await api.walk("/v1/events", order="block_number", **asked)
    assert places(oldest) == expected[::-1]


async def test_rows_are_those_of_the_whole_log(api: Client) -> None:
    whole = {key: row for row in await api.walk("/v1/events", limit=500) for key in places([row])}
    for asked in (
        {"name": "ModifyPosition"},
        {"from_address": next(iter(whole.values()))["from_address"]},
    ):
        for row in await api.walk("/v1/events", limit=100, at_block=90, **asked):
            assert row == whole[places([row])[0]]
            assert row["block_number"] <= 90


async def test_what_nothing_emitted_has_no_events(api: Client) -> None:
    assert await api.data("/v1/events", name="Nonsense") == []
    assert await api.data("/v1/events", name="ModifyPosition", from_address="0x7") == []
    assert await api.data("/v1/events", contract="nonsense") == []


async def test_rare_events_are_not_looked_for_in_the_whole_log(
    indexed: asyncpg.Connection,
) -> None:
    """What is rarer leads to them: the name of one event, or a contract that emitted few."""
    await indexed.execute("ANALYZE event_log; SET enable_seqscan = off")
    names = await indexed.fetch(
        "SELECT name, count(*) FROM events WHERE name IS NOT NULL GROUP BY 1 ORDER BY 2, 1"
    )
    emitters = await indexed.fetch(
        "SELECT from_address, contract, count(*) FROM events GROUP BY 1, 2 ORDER BY 3, 1"
    )
    rare_name, busy_name = names[0]["name"], names[-1]["name"]
    rare, busy = emitters[0]["from_address"], emitters[-1]["from_address"]
    for asked, index in (
        ({"name": rare_name}, "idx_events_layout"),
        ({"from_address": rare}, "idx_events_emitter"),
        ({"contract": emitters[0]["contract"]}, "idx_events_emitter"),
        ({"name": rare_name, "from_address": busy}, "idx_events_layout"),
        ({"name": busy_name, "from_address": rare}, "idx_events_emitter"),
    ):
        conditions = [filters.Condition(field, "=", (value,)) for field, value in asked.items()]
        heard: list[Any] = []
        with indexed.query_logger(heard.append):
            await event_pages.page(indexed, 10**9, filters.PageQuery(tuple(conditions)))
            await asyncio.sleep(0)
        (read,) = (one for one in heard if "event_args" in one.query)
        (plan,) = json.loads(
            await indexed.fetchval(f"EXPLAIN (FORMAT JSON) {read.query}", *read.args)
        )
        assert index in json.dumps(plan), asked
