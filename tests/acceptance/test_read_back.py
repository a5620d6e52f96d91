"""A contract that is configured later, or that spoke before the first block to read, is read back.

Everything through the shipped command: the tables are those of a fill that knew it from the
beginning, whatever happens in between.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from indexer.recording import playhead, server
from tests import postgres
from tests.acceptance import refusal, stage, truth, truth_v1

EXTENSION = "extension_v1_0"
ALL = "VESU_NETWORK_CONTRACTS"


def until(block: int) -> tuple[str, ...]:
    return ("run", "--until-block", str(block), "--no-serve")


def contracts(roots: list[dict[str, Any]]) -> dict[str, str]:
    return {ALL: msgspec.json.encode(roots).decode()}


def without(recorded: truth.Recorded | truth_v1.RecordedV1, kind: str) -> dict[str, str]:
    """The configuration that lacks the contracts of a kind."""
    kept = [root for root in recorded.roots if root["kind"] != kind]
    assert len(kept) < len(recorded.roots)
    return contracts(kept)


@pytest.fixture
def v1() -> truth_v1.RecordedV1:
    return truth_v1.recorded("devnet-v10-genesis")


@pytest.fixture
async def fresh() -> AsyncIterator[str]:
    async with postgres.fresh_database(migrated=True) as url:
        yield url


async def filled_digest(recorded: truth_v1.RecordedV1, node_url: str) -> Any:
    """The digest of a database that was filled with every contract from the beginning."""
    async with postgres.fresh_database(migrated=True) as url:
        environ = stage.environment(recorded, node_url, url)
        await stage.command(environ, *until(recorded.last_block))
        return await stage.json_of(environ, "digest")


async def test_an_extension_configured_later_is_read_back(
    v1: truth_v1.RecordedV1, fresh: str
) -> None:
    """Its pools' events of the singleton are folded anew with it; proofs hold for the new list."""
    async with server.RecordingServer(v1.chain) as node:
        environ = stage.environment(v1, node.url, fresh, VESU_INGEST_VERIFY="all")
        wanted = await filled_digest(v1, node.url)
        await stage.command(environ | without(v1, EXTENSION), *until(v1.last_block))
        lacking = await stage.json_of(environ, "digest")
        assert lacking != wanted
        await no_debt_is_told(fresh)
        # Nobody can ask for the prices of pools whose extension is unknown, so they grow old.
        status = await stage.json_of(environ, "status", expect=1)
        (reason,) = status["reasons"]
        assert reason["name"] == "stale_prices"
        extension = next(root for root in v1.roots if root["kind"] == EXTENSION)["address"]
        assert f"whose extension is 0x{int(extension, 16):064x}" in reason["reason"]
        assert reason["remedy"].startswith("configure the extension in network.contracts")
        before = status["completeness"]
        assert (before["unproved_blocks"], before["outdated_blocks"]) == (0, 0)
        # Nothing is said to be complete for a list that the log was not read for.
        line = await refusal.refused(environ, "verify", code=2)
        assert f"{EXTENSION} 0x" in line
        assert "its events were not read: `vesu-indexer run` reads its history back first" in line
        line = await refusal.refused(environ, "replay", "--from-block", "0", code=2)
        assert "`vesu-indexer run` reads its history back first" in line
        _, _, err = await stage.command(environ, *until(v1.last_block))
        assert '"event": "reading_back"' in err
        assert await stage.json_of(environ, "digest") == wanted
        after = (await stage.json_of(environ, "status"))["completeness"]
        assert after["watch_list"] != before["watch_list"]
        found = await stage.json_of(environ, "verify")
        assert found["completeness"]["blocks"] == {"commitment": v1.last_block + 1, "hole": 0}
        # The same list again has nothing to read back.
        _, _, err = await stage.command(environ, *until(v1.last_block))
        assert "reading_back" not in err


async def no_debt_is_told(url: str) -> None:
    """What grows by rates that only the unknown extension tells is marked, not told as it stood."""
    unknown = "the pool's extension is none that is known: its rates and prices cannot be told"
    rows = await postgres.fetch(
        url,
        "SELECT p.debt_raw, p.debt_amount, p.unvalued_reason FROM vesu_positions p "
        "JOIN contracts c ON c.pool_id = p.pool_id AND c.kind = 'pool_v1_0' "
        "WHERE p.status = 'active' AND p.nominal_debt > 0 "
        "AND c.extension NOT IN (SELECT address FROM configured_contracts)",
    )
    assert rows
    assert {tuple(row) for row in rows} == {(None, None, unknown)}
    pools = await postgres.fetch(
        url,
        "SELECT DISTINCT pair_debt, borrow_apy FROM vesu_pools WHERE unvalued_reason = $1",
        unknown,
    )
    assert [tuple(row) for row in pools] == [(None, None)]


async def test_what_was_proved_for_another_list_counts_as_unproved(
    recorded: truth.Recorded, fresh: str
) -> None:
    """The added contract said nothing: the tables stay, and their proofs hold for it no more."""
    more = contracts([*recorded.roots, silent(recorded)])
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, fresh, VESU_INGEST_VERIFY="all")
        await stage.command(environ, *until(recorded.last_block))
        assert (await stage.json_of(environ, "verify"))["checked_blocks"] == 0
        _, _, err = await stage.command(environ | more, *until(recorded.last_block))
        assert "reading_back" not in err
        found = (await stage.json_of(environ | more, "status"))["completeness"]
        assert found["blocks"] == {"hole": recorded.last_block + 1}
        assert found["outdated_blocks"] == recorded.last_block + 1
        _, out, _ = await stage.command(environ | more, "status")
        assert "126 blocks for another watch list alone" in out
        proved = await stage.json_of(environ | more, "verify")
        assert proved["proved"] == {"commitment": recorded.last_block + 1}
        found = (await stage.json_of(environ | more, "status"))["completeness"]
        assert (found["blocks"]["hole"], found["outdated_blocks"]) == (0, 0)


def silent(recorded: truth.Recorded) -> dict[str, Any]:
    """A contract of the chain that is none of Vesu's and emits nothing, configured as a factory."""
    address = recorded.manifest["contracts"]["mock_flash_borrower"]["address"]
    return {"kind": "pool_factory_v2", "address": address, "from_block": 0}


async def test_a_factory_configured_later_is_read_back_across_a_kill_and_a_reorganisation(
    recorded: truth.Recorded, fresh: str
) -> None:
    loaded = recorded.chain
    fork = loaded.forks[0]
    few, more = contracts([silent(recorded)]), contracts([*recorded.roots, silent(recorded)])
    async with (
        server.RecordingServer(loaded) as node,
        postgres.fresh_database(migrated=True) as other,
    ):
        environ = stage.environment(recorded, node.url, other) | more
        await stage.command(environ, *until(recorded.last_block))
        wanted = await stage.json_of(environ, "digest")
    head = playhead.Playhead.at_block(loaded, 84, story=True)
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, fresh)
        head.go_to(fork.last, branch=1)
        await stage.command(environ | few, *until(fork.last))
        (row,) = await postgres.fetch(fresh, "SELECT count(*) AS events FROM events")
        assert row["events"] == 0
        # The list is remembered with the rollback: a kill right after it changes nothing.
        killed = await stage.start(environ | more, "run", "--no-serve")
        assert killed.stderr is not None
        async with asyncio.timeout(60):
            while b"reading_back" not in await killed.stderr.readline():
                assert killed.returncode is None
        killed.send_signal(signal.SIGKILL)
        await killed.wait()
        # Meanwhile the chain leaves the branch.
        head.go_to(loaded.main.last)
        await stage.command(environ | more, *until(recorded.last_block))
        assert await stage.json_of(environ | more, "digest") == wanted


async def test_a_start_above_the_first_event_begins_at_it(
    recorded: truth.Recorded, fresh: str, indexed_url: str
) -> None:
    """The factory spoke in block 4: what was configured would leave its pools out."""
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, fresh, VESU_NETWORK_START_BLOCK="60")
        _, _, err = await stage.command(environ, *until(recorded.last_block))
        assert "history_missing" in err
        same = await stage.json_of(environ, "digest", "--compare", indexed_url)
    assert same["first_block"] is None
    (row,) = await postgres.fetch(fresh, "SELECT start_block FROM cursor")
    assert row["start_block"] == 4


async def test_a_filled_database_that_began_too_late_is_filled_anew(
    recorded: truth.Recorded, fresh: str, indexed_url: str
) -> None:
    """As an earlier version left it: nothing was remembered, and the beginning never read."""
    spoil = """
    DELETE FROM configured_contracts;
    DELETE FROM events WHERE block_number < 60;
    UPDATE cursor SET start_block = 60;
    """
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, fresh, VESU_NETWORK_START_BLOCK="60")
        await stage.command(environ, *until(recorded.last_block))
        await postgres.execute(fresh, spoil)
        _, _, err = await stage.command(environ, *until(recorded.last_block))
        assert "reading_back" in err
        same = await stage.json_of(environ, "digest", "--compare", indexed_url)
    assert same["first_block"] is None


async def test_the_list_names_the_event_that_named_each_contract(
    recorded: truth.Recorded, indexed_url: str
) -> None:
    """Each naming event of the log is that of a contract; configured ones have none."""
    rows = await postgres.fetch(
        indexed_url,
        "SELECT w.address, w.kind, w.origin, w.read_since, w.named_block, e.name, e.data, e.keys "
        "FROM watch_list w LEFT JOIN events e ON (e.block_number, e.transaction_index, "
        "e.event_index) = (w.named_block, w.named_transaction, w.named_event)",
    )
    named = [row for row in rows if row["origin"] == "event"]
    assert len(named) == len(rows) - 1
    names = {"pool_v2": {"CreatePool"}, "oracle_v2": {"CreateOracle"}}
    for row in named:
        assert row["name"] in names.get(row["kind"], {"CreateVToken", "UpdateVToken"})
        felts = {int(felt, 16) for felt in (*row["keys"], *row["data"])}
        assert int(row["address"], 16) in felts
        assert row["read_since"] == row["named_block"]
