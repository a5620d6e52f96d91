"""Answers of views are facts: a node's hiccup leaves nothing wrong, and what did is repaired."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from indexer.cairo import selector
from indexer.daemon import view_calls
from indexer.recording import options, server
from tests import postgres
from tests.acceptance import stage, truth, truth_v1
from tests.chaos import daemon
from tests.integration import faults


class Refusing:
    """A node that refuses a view in a contract's words, the first so many times it is asked."""

    def __init__(self, view: str, times: int) -> None:
        self._selector = hex(selector.of(view))
        self._fault = options.Fault(edit=faults.refuse(40, "Contract error"))
        self.left = times

    def __call__(self, method: str, params: Any) -> options.Fault | None:
        if method != "starknet_call" or not self.left:
            return None
        if int(params["request"]["entry_point_selector"], 16) != int(self._selector, 16):
            return None
        self.left -= 1
        return self._fault


class Lying:
    """A node that answers a view with another symbol, each time that `lies` says so."""

    def __init__(self, *lies: bool) -> None:
        self._selector = selector.of("symbol")
        self._fault = options.Fault(edit=lambda _: ["0x0", "0x4c4945", "0x3"])
        self._lies = list(lies)

    def __call__(self, method: str, params: Any) -> options.Fault | None:
        if method != "starknet_call" or not self._lies:
            return None
        if int(params["request"]["entry_point_selector"], 16) != self._selector:
            return None
        return self._fault if self._lies.pop(0) else None


@pytest.fixture
async def fresh() -> AsyncIterator[str]:
    async with postgres.fresh_database(migrated=True) as url:
        yield url


@pytest.fixture(scope="module")
async def undisturbed(indexed_url: str, recorded: truth.Recorded) -> Any:
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    return await stage.json_of(environ, "digest")


async def fill(recorded: truth.Recorded, url: str, fault: Any) -> tuple[dict[str, str], str]:
    """Fill a database from a node with a fault; the environment for more, and what was logged."""
    async with server.RecordingServer(
        recorded.chain, options=options.ServerOptions(fault=fault)
    ) as node:
        environ = stage.environment(recorded, node.url, url)
        _, _, err = await stage.command(
            environ, "run", "--until-block", str(recorded.last_block), "--no-serve"
        )
    return environ, err


async def symbols(url: str) -> set[str | None]:
    rows = await postgres.fetch(url, "SELECT DISTINCT symbol FROM vesu_assets")
    return {row["symbol"] for row in rows}


async def test_one_refusal_is_not_believed(
    fresh: str, recorded: truth.Recorded, undisturbed: Any, indexed_url: str
) -> None:
    environ, err = await fill(recorded, fresh, Refusing("symbol", 1))
    assert '"event": "refusal_not_confirmed"' in err
    assert await symbols(fresh) == await symbols(indexed_url)
    assert await stage.json_of(environ, "digest") == undisturbed


async def test_a_symbol_that_was_refused_for_a_while_is_asked_again_by_verify(
    fresh: str, recorded: truth.Recorded, undisturbed: Any, indexed_url: str
) -> None:
    environ, _ = await fill(recorded, fresh, Refusing("symbol", 8))
    assert None in await symbols(fresh)
    assert await stage.json_of(environ, "digest") != undisturbed
    async with server.RecordingServer(recorded.chain) as node:
        environ = environ | {"VESU_NODE_URLS": node.url}
        looked = await stage.json_of(environ, "verify", "--no-repair", expect=1)
        assert looked["repair"] == "not_asked"
        assert {one["view"] for one in looked["observations"]["differing"]} == {"symbol"}
        stored = await postgres.value(fresh, "SELECT count(*) FROM observations")
        assert looked["observations"]["asked"] == stored
        assert await symbols(fresh) != await symbols(indexed_url)
        _, out, _ = await stage.command(environ, "verify", expect=1)
        assert "GAP  another answer at block" in out
        assert "Repaired" in out
        assert await symbols(fresh) == await symbols(indexed_url)
        assert await stage.json_of(environ, "digest") == undisturbed
        # What was read again is asked once more; then everything is confirmed.
        again = await stage.json_of(environ, "verify")
        assert again["observations"]["asked"] > 0
        last = await stage.json_of(environ, "verify")
    assert last["observations"] == {"asked": 0, "differing": [], "unanswered": 0}


async def test_an_answer_that_was_wrong_is_found_and_repaired(fresh: str) -> None:
    """V1.0 names its vTokens by a view alone: refused, a whole contract's events are missing."""
    recorded = truth_v1.recorded("devnet-v10-genesis")
    async with (
        postgres.fresh_database(migrated=True) as other,
        server.RecordingServer(recorded.chain) as node,
    ):
        environ = stage.environment(recorded, node.url, other)
        until = str(recorded.last_block)
        await stage.command(environ, "run", "--until-block", until, "--no-serve")
        wanted = await stage.json_of(environ, "digest")
    refusing = Refusing("v_token_for_collateral_asset", 8)
    environ, _ = await fill(recorded, fresh, refusing)
    assert await stage.json_of(environ, "digest") != wanted
    async with server.RecordingServer(recorded.chain) as node:
        environ = environ | {"VESU_NODE_URLS": node.url}
        found = await stage.json_of(environ, "verify", expect=1)
        views = {one["view"] for one in found["observations"]["differing"]}
        assert views == {"v_token_for_collateral_asset"}
        assert await stage.json_of(environ, "digest") == wanted


async def test_a_node_that_keeps_no_old_state_is_no_failure(
    indexed_copy: str, recorded: truth.Recorded
) -> None:
    def forgotten(method: str, _: Any) -> options.Fault | None:
        is_call = method == "starknet_call"
        return options.Fault(edit=faults.refuse(24, "Block not found")) if is_call else None

    async with server.RecordingServer(
        recorded.chain, options=options.ServerOptions(fault=forgotten)
    ) as node:
        environ = stage.environment(recorded, node.url, indexed_copy)
        found = await stage.json_of(environ, "verify")
    stored = await postgres.value(indexed_copy, "SELECT count(*) FROM observations")
    assert found["observations"] == {"asked": 0, "differing": [], "unanswered": stored}


CONFIRMED = "SELECT count(*) > 0 AND bool_and(confirmed_at IS NOT NULL) FROM observations"


async def test_the_daemon_asks_again_and_repairs_what_a_node_lied_about_once(
    fresh: str, recorded: truth.Recorded, undisturbed: Any, indexed_url: str, tmp_path: Path
) -> None:
    """No command is typed: the background asks each view again at its block's hash."""
    serving = options.ServerOptions(fault=Lying(True))
    async with server.RecordingServer(recorded.chain, options=serving) as node:
        environ = stage.environment(
            recorded, node.url, fresh, VESU_INGEST_VERIFY_BLOCKS_PER_MINUTE="6000"
        )
        async with daemon.started(environ, tmp_path / "log") as running:
            said = await running.tells("observation_differs")
            assert said["view"] == "symbol"
            async with asyncio.timeout(60):
                while not await postgres.value(fresh, CONFIRMED):
                    await asyncio.sleep(0.05)
            await running.commits(fresh, recorded.last_block)
            await running.stop()
    assert await postgres.value(fresh, "SELECT count(*) FROM reorgs WHERE cause = 'repair'") == 1
    assert "LIE" not in await symbols(fresh)
    assert await symbols(fresh) == await symbols(indexed_url)
    assert await stage.json_of(environ, "digest") == undisturbed


async def test_a_lie_about_a_right_answer_takes_nothing_back(
    indexed_copy: str, recorded: truth.Recorded
) -> None:
    """What differs must be answered twice before the tables go back."""
    serving = options.ServerOptions(fault=Lying(True))
    async with server.RecordingServer(recorded.chain, options=serving) as node:
        environ = stage.environment(recorded, node.url, indexed_copy)
        found = await stage.json_of(environ, "verify")
        assert found["observations"]["differing"] == []
        # The one that was answered otherwise once is not confirmed yet, and alone asked again.
        again = await stage.json_of(environ, "verify")
    assert again["observations"] == {"asked": 1, "differing": [], "unanswered": 0}


no_entry_point = faults.refuse(21, "Requested entrypoint does not exist in the contract")


async def test_views_that_fail_keep_no_others_from_being_confirmed(
    indexed_copy: str, recorded: truth.Recorded, tmp_path: Path
) -> None:
    """Contracts of strangers answered once, and break the node that asks them again."""
    newest = await postgres.fetch(
        indexed_copy,
        "SELECT contract FROM observations "
        "GROUP BY contract ORDER BY max(block_number) DESC LIMIT 2",
    )
    failing = {int(row["contract"], 16) for row in newest}

    def broken(method: str, params: Any) -> options.Fault | None:
        if method != "starknet_call":
            return None
        request = params["request"]
        if int(request["contract_address"], 16) in failing:
            return options.Fault(edit=faults.refuse(-32603, "Internal error"))
        if int(request["entry_point_selector"], 16) == selector.of(view_calls.ABSENT_VIEW):
            return options.Fault(result=functools.partial(no_entry_point, None))
        return None

    serving = options.ServerOptions(fault=broken)
    others = (
        "SELECT count(*) FROM observations "
        "WHERE confirmed_at IS NULL AND NOT contract = ANY ($1::text[])"
    )
    contracts = [row["contract"] for row in newest]
    assert await postgres.value(indexed_copy, others, contracts) > 5
    async with server.RecordingServer(recorded.chain, options=serving) as node:
        environ = stage.environment(
            recorded, node.url, indexed_copy, VESU_INGEST_VERIFY_BLOCKS_PER_MINUTE="600"
        )
        found = await stage.json_of(environ, "verify", "--from-block", "0")
        failed = "SELECT count(*) FROM observations WHERE contract = ANY ($1::text[])"
        unanswered = await postgres.value(indexed_copy, failed, contracts)
        assert found["observations"]["unanswered"] == unanswered
        await postgres.execute(indexed_copy, "UPDATE observations SET confirmed_at = NULL")
        async with daemon.started(environ, tmp_path / "log") as running, asyncio.timeout(120):
            while await postgres.value(indexed_copy, others, contracts):
                await asyncio.sleep(0.1)
            await running.stop()
    confirmed = f"{failed} AND confirmed_at IS NOT NULL"
    assert await postgres.value(indexed_copy, confirmed, contracts) == 0
