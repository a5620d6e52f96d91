"""`POST /v1/watch`: the one thing that the API writes, with a key, and as the weakest role."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib import parse

import aiohttp
import asyncpg
import pytest

from indexer.api import gate
from indexer.recording import playhead, server
from tests import postgres
from tests.acceptance import stage, test_http, truth
from tests.acceptance.api_client import Client, serving
from tests.acceptance.test_watches import expected, receipts

KEY = "a-key-of-the-test"
HASH = f"0x{0xABCDEF:064x}"
WATCHES = "SELECT transaction_hash, status, started_at FROM watches ORDER BY transaction_hash"


@contextlib.asynccontextmanager
async def writable(url: str, watch_url: str | None) -> AsyncIterator[Client]:
    """The API with one key, whose watches are begun in another place than it reads from."""
    async with serving(url, rules=gate.Rules(keys=(KEY,)), watch_url=watch_url) as api:
        yield api


async def post(api: Client, body: Any, key: str | None = KEY, path: str = "/v1/watch") -> Any:
    """Status, document and headers of a POST; a text body is sent as it is."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    content: Any = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with api.session.post(path, headers=headers, **content) as answer:
        problem = "application/problem+json"
        assert answer.content_type == ("application/json" if answer.status == 200 else problem)
        return answer.status, await answer.json(content_type=None), answer.headers


def as_role(url: str, role: str) -> str:
    """The same database for another role."""
    return postgres.with_name(url, parse.urlsplit(url).path[1:]).replace(
        parse.urlsplit(url).netloc, f"{role}@{parse.urlsplit(url).netloc.rpartition('@')[2]}", 1
    )


@contextlib.asynccontextmanager
async def role(url: str, *grants: str) -> AsyncIterator[str]:
    """The database's URL for a role of its own that has these rights and no others."""
    name = f"watcher_{uuid.uuid4().hex[:12]}"
    await postgres.execute(
        url, f"CREATE ROLE {name} LOGIN", *(f"GRANT {grant} TO {name}" for grant in grants)
    )
    try:
        yield as_role(url, name)
    finally:
        await postgres.execute(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


MAY_WATCH = "EXECUTE ON FUNCTION start_watch_as_owner(text)"


async def test_nothing_is_written_without_a_key(indexed_copy: str) -> None:
    async with writable(indexed_copy, indexed_copy) as api:
        for key in (None, "", "another", KEY[:-1], f"{KEY}x"):
            for path in ("/v1/watch", "/v1/watch/"):
                status, problem, headers = await post(api, {"hash": HASH}, key, path)
                assert (status, problem["status"]) == (401, 401), key
                assert headers["www-authenticate"] == "Bearer"
    async with serving(indexed_copy, watch_url=indexed_copy) as api:
        assert (await post(api, {"hash": HASH}, None))[0] == 401, "no key is valid where none is"
        assert (await post(api, {"hash": HASH}, ""))[0] == 401
    assert await postgres.fetch(indexed_copy, WATCHES) == []


async def test_a_watch_begins_once(indexed_copy: str) -> None:
    """In any spelling of the hash; a dropped one begins again; what is known is told."""
    async with writable(indexed_copy, indexed_copy) as api:
        for spelling in (HASH, "0xabcdef", "0XABCDEF"):
            status, told, headers = await post(api, {"hash": spelling})
            assert status == 200
            assert told["data"]["transaction_hash"] == HASH
            assert (told["data"]["seen"], told["data"]["status"]) == ("not_seen", "pending")
            assert told["data"]["is_watched"] is True
            assert headers["x-vesu-block"] == str(told["meta"]["block_number"])
        rows = await postgres.fetch(indexed_copy, WATCHES)
        assert [tuple(row)[:2] for row in rows] == [(HASH, "pending")]
        assert (await api.data("/v1/watch/0xABCDEF")) == told["data"]
        await postgres.execute(indexed_copy, "UPDATE watches SET status = 'dropped', ask_at = NULL")
        assert (await api.data("/v1/watch/0xabcdef"))["status"] == "dropped"
        found = await api.data("/v1/transactions/0xabcdef")
        assert (found["seen"], found["status"], found["rows"]) == ("not_seen", "dropped", [])
        assert (await post(api, {"hash": HASH}))[1]["data"]["status"] == "pending"


async def test_what_is_on_chain_already(indexed_copy: str, recorded: truth.Recorded) -> None:
    """Effects, block, time and fee are those of the recorded receipt, also before any watch."""
    effect = (
        await postgres.fetch(
            indexed_copy,
            "SELECT transaction_hash, count(*) AS effects FROM vesu_transactions GROUP BY 1 "
            "ORDER BY count(*) DESC, 1 LIMIT 1",
        )
    )[0]
    receipt = receipts(recorded.folder)[effect["transaction_hash"]]
    _, number, hash_, _, fee, unit, _ = expected(receipt)
    async with writable(indexed_copy, indexed_copy) as api:
        before = await api.data(f"/v1/watch/{effect['transaction_hash']}")
        after = (await post(api, {"hash": effect["transaction_hash"]}))[1]["data"]
        hash_of = effect["transaction_hash"]
        by_hash = await api.data(f"/v1/transactions/{hash_of}")
        then = await api.data(f"/v1/transactions/{hash_of}", at_block=number)
        earlier = await api.data(f"/v1/transactions/{hash_of}", at_block=number - 1)
    assert (before["is_watched"], after["is_watched"]) == (False, True)
    assert (then["seen"], then["block_number"], then["is_watched"]) == ("indexed", number, False)
    assert (earlier["seen"], earlier["block_number"], earlier["rows"]) == ("not_seen", None, [])
    assert len(by_hash["rows"]) == len(then["rows"]) == effect["effects"]
    assert by_hash["is_watched"] is True
    for told in (before, after, by_hash):
        assert (told["seen"], told["status"]) == ("indexed", "confirmed")
        assert told["effects"] == effect["effects"]
        assert (told["block_number"], told["block_hash"]) == (number, hash_)
        assert (int(told["gas_used"].replace(".", "")), told["fee_unit"]) == (fee, unit)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"0x1"',
        b'{"hash": 1}',
        b'{"hash": "0xg"}',
        b'{"hash": "1"}',
        b'{"hash": "0x1", "status": "confirmed"}',
        b'{"hash": "\xff"}',
        b'{"hash": "0x' + b"f" * 64 + b'"}',
        b'{"hash": "0x1\\u0000"}',
    ],
)
async def test_a_body_that_names_no_hash(indexed_copy: str, body: bytes) -> None:
    async with writable(indexed_copy, indexed_copy) as api:
        status, problem, _ = await post(api, body)
        assert (status, problem["parameter"]) == (400, "hash")
    assert await postgres.fetch(indexed_copy, WATCHES) == []


async def test_sizes_and_parameters_are_bounded(indexed_copy: str) -> None:
    async with writable(indexed_copy, indexed_copy) as api:
        assert (await post(api, b"a" * (gate.MAX_BODY + 1)))[0] == 413

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b" " * 1_000

        headers = {"authorization": f"Bearer {KEY}"}
        async with api.session.post("/v1/watch", data=pieces(), headers=headers) as answer:
            assert answer.status == 413
        status, problem, _ = await post(api, {"hash": HASH}, path="/v1/watch?at_block=1")
        assert (status, problem["parameter"]) == (400, "at_block")
        async with api.session.get("/v1/watch", headers=headers) as answer:
            assert answer.status == 405
    assert await postgres.fetch(indexed_copy, WATCHES) == []


async def test_the_weakest_role_begins_watches_and_does_nothing_else(indexed_copy: str) -> None:
    async with role(indexed_copy, MAY_WATCH) as weak, writable(indexed_copy, weak) as api:
        assert (await post(api, {"hash": HASH}))[0] == 200
        assert [row[0] for row in await postgres.fetch(indexed_copy, WATCHES)] == [HASH]
        for statement in (
            "SELECT * FROM watches",
            "INSERT INTO watches (transaction_hash) VALUES ('0x1')",
            "UPDATE watches SET status = 'confirmed'",
            "DELETE FROM watches",
            "SELECT * FROM vesu_positions",
            "UPDATE cursor SET block_number = 0",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await postgres.execute(weak, statement)


async def test_a_role_or_a_server_that_takes_no_watches_says_so(indexed_copy: str) -> None:
    """409: what only the operator changes. Neither the role's name nor the host is told."""
    mark = "&" if "?" in indexed_copy else "?"
    standby = f"{indexed_copy}{mark}options=-cdefault_transaction_read_only%3Don"
    async with role(indexed_copy) as weak:
        for url in (weak, standby):
            async with writable(indexed_copy, url) as api:
                status, problem, _ = await post(api, {"hash": HASH})
                assert (status, "watch.database_url" in problem["detail"]) == (409, True)
                assert "watcher_" not in problem["detail"]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await postgres.execute(weak, f"SELECT start_watch_as_owner('{HASH}')")
    assert await postgres.fetch(indexed_copy, WATCHES) == []


async def test_too_many_watches_are_a_matter_of_time(indexed_copy: str) -> None:
    await postgres.execute(
        indexed_copy,
        "INSERT INTO watches (transaction_hash) "
        "SELECT '0x' || lpad(to_hex(n), 64, '0') FROM generate_series(1, 10000) AS n",
    )
    async with writable(indexed_copy, indexed_copy) as api:
        status, problem, headers = await post(api, {"hash": HASH})
        assert (status, int(headers["retry-after"]) > 0) == (503, True)
        assert "10000 transactions are watched" in problem["detail"]
        assert (await post(api, {"hash": "0x1"}))[0] == 200, "one that is watched is no new one"


async def test_a_database_that_is_away_is_503(indexed_copy: str) -> None:
    async with writable(indexed_copy, "postgresql://nobody@127.0.0.1:1/none") as api:
        status, _, headers = await post(api, {"hash": HASH})
        assert (status, int(headers["retry-after"]) > 0) == (503, True)


async def test_the_daemon_follows_what_is_posted(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """Through the shipped command: pending before its block, confirmed or failed after it."""
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 84)
    wanted = {
        hash_: expected(one)
        for hash_, one in receipts(recorded.folder).items()
        if one["block"]["block_number"] > 84
    }
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, migrated_database_url, VESU_API_KEYS=KEY)
        async with test_http.daemon(environ) as running:
            await running.health(200, committed_block=84)
            async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
                api = Client(session)
                for hash_ in wanted:
                    status, told, _ = await post(api, {"hash": hash_})
                    assert (status, told["data"]["status"]) == (200, "pending")
                head.go_to(loaded.main.last)
                async with asyncio.timeout(120):
                    while await postgres.value(
                        migrated_database_url,
                        "SELECT count(*) FROM watches WHERE status = 'pending'",
                    ):
                        await asyncio.sleep(0.1)
                for hash_, (status, number, block_hash, *_) in wanted.items():
                    told = await api.data(f"/v1/watch/{hash_}")
                    assert (told["status"], told["seen"]) == (status, "indexed")
                    assert (told["block_number"], told["block_hash"]) == (number, block_hash)
            running.process.send_signal(signal.SIGTERM)
            await running.process.communicate()
    assert {one[0] for one in wanted.values()} == {"confirmed", "failed"}
