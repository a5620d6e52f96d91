"""Configuration that shapes the data is remembered and compared, and asked of the node."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import msgspec
import pytest

from indexer.recording import server
from tests import postgres
from tests.acceptance import refusal, stage, truth

UNTIL = ("run", "--until-block", "125", "--no-serve")


def mistyped(recorded: truth.Recorded) -> dict[str, Any]:
    """The factory's address with one digit wrong."""
    [root] = recorded.roots
    last = "0" if root["address"][-1] != "0" else "1"
    return root | {"address": root["address"][:-1] + last}


def configured(*contracts: dict[str, Any]) -> dict[str, str]:
    return {"VESU_NETWORK_CONTRACTS": msgspec.json.encode(contracts).decode()}


async def test_a_mistyped_address_is_told_before_anything_is_read(
    recorded: truth.Recorded, migrated_database_url: str, indexed: asyncpg.Connection
) -> None:
    wrong = mistyped(recorded)
    events = await indexed.fetchval("SELECT count(*) FROM events")
    emitting = [row[0] for row in await indexed.fetch("SELECT DISTINCT from_address FROM events")]
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, migrated_database_url) | configured(wrong)
        line = await refusal.refused(environ, *UNTIL, code=2)
        assert "no contract stands at pool_factory_v2" in line
        assert f"{int(wrong['address'], 16):064x} at block 125" in line
        assert "check the address and the network" in line
        found = await stage.json_of(environ, "doctor", expect=1)
        said = {one["what"]: one for one in found["findings"]}
        assert said["contracts"]["is_good"] is False
        assert "no contract stands at" in said["contracts"]["found"]
        # Mended, the same database is filled as if nothing had been.
        environ |= configured(*recorded.roots)
        await stage.command(environ, *UNTIL)
    connection = await asyncpg.connect(migrated_database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM events") == events
        [row] = await connection.fetch("SELECT * FROM configured_contracts")
        expected = recorded.manifest["contracts"]["pool_factory"]
        # The factory was upgraded since it was deployed: the class is the one at the head.
        classes = recorded.chain.main.class_hashes
        changes = {int(address, 16): found for address, found in classes.items()}
        assert int(row["class_hash"], 16) == int(changes[int(expected["address"], 16)][-1][1], 16)
        assert (row["from_block"], row["read_since"]) == (expected["deployed_at_block"], 0)
        watched = await connection.fetch("SELECT address, origin FROM watch_list")
    finally:
        await connection.close()
    emitters = {int(address, 16) for address in emitting}
    assert emitters <= {int(one["address"], 16) for one in watched}
    assert [one["origin"] for one in watched].count("configured") == 1


GONE = "which it was filled from, is not configured"


@pytest.mark.parametrize(
    ("change", "says"), [("another", GONE), ("more", "no contract stands at pool_factory_v2")]
)
async def test_a_filled_database_refuses_other_contracts(
    recorded: truth.Recorded, indexed_copy: str, change: str, says: str
) -> None:
    """One that is read no more makes wrong tables; one that is added must stand on the chain."""
    other = {"kind": "pool_factory_v2", "address": "0x1234", "from_block": 0}
    contracts = [other] if change == "another" else [*recorded.roots, other]
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, indexed_copy) | configured(*contracts)
        line = await refusal.refused(environ, "run", "--no-serve", code=2)
        assert says in line
        assert "block 125" in line
        await postgres.execute(indexed_copy, "UPDATE chain_head SET seen_at = clock_timestamp()")
        found = await stage.json_of(environ, "doctor", expect=1)
        said = {one["what"]: one for one in found["findings"]}
        assert said["watch list"]["is_good"] is False
        assert "`vesu-indexer run` reads its history back first" in said["watch list"]["found"]
        assert (GONE in said["watch list"]["found"]) is (change == "another")
        # As it was, it goes on.
        await stage.command(environ | configured(*recorded.roots), *UNTIL)


async def test_a_database_of_an_earlier_version_remembers_from_now_on(
    recorded: truth.Recorded, indexed_copy: str
) -> None:
    await postgres.execute(indexed_copy, "DELETE FROM configured_contracts")
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, indexed_copy)
        await stage.command(environ, *UNTIL)
        other = configured(*recorded.roots, mistyped(recorded))
        await refusal.refused(environ | other, *UNTIL, code=2)


async def test_a_node_that_cannot_tell_is_no_obstacle(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """Some gateways serve no getClassHashAt."""

    def refuse(_: Any) -> Any:
        return None

    async with stage.edited(recorded, getClassHashAt=refuse) as url:
        environ = stage.environment(recorded, url, migrated_database_url)
        async with asyncio.timeout(100):
            _, _, err = await stage.command(environ, *UNTIL)
    assert "contracts_not_checked" in err
