"""`reconcile` against the served recordings of Vesu V1, through the shipped command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec
import pytest

from indexer.recording import chain, playhead, server
from tests import postgres
from tests.acceptance import changed_rows, stage

DATA = Path(__file__).parents[1] / "data"

ROOTS = {
    "singleton_v10": "singleton_v1_0",
    "extension_v0": "extension_v1_0_genesis",
    "extension_v10": "extension_v1_0",
    "singleton_v11": "singleton_v1_1",
    "extension_v11": "extension_v1_1",
}
"""Contracts of a recording's manifest that one would configure, with their kinds."""

UNTOLD = {
    ("devnet-v10-genesis", 29): {("interest_rate_config", "target_rate_percent")},
    ("devnet-v10-genesis", 31): {("interest_rate_config", "target_rate_percent")},
}
"""What no event of V1.0 tells, so that only reconcile can: a new rate model."""

BLOCKS = {
    "devnet-v11": (10, 30, 44, 46, 60, 75, 90, 105, 116),
    "devnet-v10-migration": (10, 35, 40, 43, 44, 50, 60, 70, 81),
    "devnet-v10-genesis": (10, 17, 18, 25, 29, 31, 35, 45, 50),
}


def environment(folder: Path, node_url: str, database_url: str) -> dict[str, str]:
    """The environment that points a command at a served recording of V1 and a database."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    roots = [
        {
            "kind": ROOTS[name],
            "address": contract["address"],
            "from_block": contract["deployed_at_block"],
        }
        for name, contract in manifest["contracts"].items()
        if name in ROOTS
    ]
    return stage.clean_environment() | {
        "DATABASE_URL": database_url,
        "VESU_NETWORK_NAME": "custom",
        "VESU_NETWORK_CHAIN_ID": manifest["chain_id"],
        "VESU_NETWORK_START_BLOCK": "0",
        "VESU_NETWORK_CONTRACTS": msgspec.json.encode(roots).decode(),
        "VESU_NODE_URLS": node_url,
        "VESU_NODE_MAX_REQUESTS_PER_SECOND": "10000",
        "VESU_LOG_LEVEL": "error",
    }


class Filled(NamedTuple):
    """A recording, its environment with node and database, and how high it goes."""

    name: str
    environ: dict[str, str]
    last: int


@pytest.fixture(scope="module", params=BLOCKS)
async def filled(request: pytest.FixtureRequest) -> AsyncIterator[Filled]:
    folder = DATA / request.param
    last = json.loads((folder / "manifest.json").read_text())["last_block"]
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(chain.load(folder)) as node,
    ):
        environ = environment(folder, node.url, url)
        await stage.command(environ, "run", "--until-block", str(last), "--no-serve")
        yield Filled(request.param, environ, last)


async def test_every_row_equals_the_contracts_views(filled: Filled) -> None:
    """Also while a pool migrates, whose views then revert, and after."""
    for block in BLOCKS[filled.name]:
        found = await stage.json_of(filled.environ, "reconcile", "--block", str(block), expect=None)
        refused = {name: one["refused"] for name, one in found["views"].items() if one["refused"]}
        print(f"{filled.name} {block}: {found['compared']} values, refused {refused}")
        assert found["compared"] > 100
        differing = {(one["view"], one["column"]) for one in found["differences"]}
        assert differing == UNTOLD.get((filled.name, block), set()), found["differences"]


async def test_a_position_that_v1_1_reads_through_is_asked_there_too(filled: Filled) -> None:
    """One digit of a V1.0 row is found by V1.0's answer, and by V1.1's while it is not migrated."""
    found = await stage.json_of(filled.environ, "reconcile", "--block", str(filled.last))
    asked = found["views"]["position_unsafe"]["asked"]
    connection = await asyncpg.connect(filled.environ["DATABASE_URL"])
    try:
        held = await connection.fetchval(
            "SELECT count(*) FROM vesu_positions WHERE v_token IS NULL"
        )
        through = await connection.fetchval(
            "SELECT count(*) FROM vesu_positions p JOIN contracts c ON c.kind = 'pool_v1_0'"
            " AND c.pool_id = p.pool_id AND c.pool_address = p.pool_address"
            " WHERE p.v_token IS NULL AND p.migrated_block IS NULL AND c.successor IS NOT NULL"
        )
    finally:
        await connection.close()
    print(f"{filled.name}: {held} positions, {through} of them read through")
    assert asked == held + through
    assert (through > 0) == (filled.name == "devnet-v10-migration")


async def test_one_digit_changed_by_hand_is_named(filled: Filled) -> None:
    connection = await asyncpg.connect(filled.environ["DATABASE_URL"])
    try:
        row = await connection.fetchrow(
            "UPDATE vesu_positions SET collateral_shares = collateral_shares + 1 WHERE id ="
            " (SELECT id FROM vesu_positions WHERE kind = 'borrow' AND migrated_block IS NULL"
            " AND collateral_shares > 0 ORDER BY id LIMIT 1) RETURNING id"
        )
        found = await stage.json_of(filled.environ, "reconcile", expect=1)
        named = {(one["table"], one["row_id"]) for one in found["differences"]}
        assert named == {("vesu_positions", str(row["id"]))}
        await connection.execute(
            "UPDATE vesu_positions SET collateral_shares = collateral_shares - 1 WHERE id = $1",
            row["id"],
        )
        assert (await stage.json_of(filled.environ, "reconcile"))["is_equal"]
    finally:
        await connection.close()


async def test_every_position_changed_by_one_is_named_and_kept(filled: Filled) -> None:
    """Two contracts answer for a V1.0 position that is not migrated: both differences are kept."""
    connection = await asyncpg.connect(filled.environ["DATABASE_URL"])
    try:
        drawn = await changed_rows.change(connection, ("vesu_positions",))
        found = await stage.json_of(filled.environ, "reconcile", expect=1)
        named = {(one["table"], one["row_id"], one["column"]) for one in found["differences"]}
        assert set(drawn) <= named, sorted(set(drawn) - named)
        kept = await connection.fetchval(
            "SELECT count(*) FROM reconciliation_differences"
            " WHERE reconciliation_id = (SELECT max(id) FROM reconciliations)"
        )
        assert kept == len(found["differences"])
        contracts = {}
        for one in found["differences"]:
            key = one["row_id"], one["column"], one["view"]
            contracts.setdefault(key, set()).add(one["contract"])
        twice = sum(len(asked) > 1 for asked in contracts.values())
        assert (twice > 0) == (filled.name == "devnet-v10-migration")
        await changed_rows.undo(connection, drawn)
        assert (await stage.json_of(filled.environ, "reconcile"))["is_equal"]
        assert not await connection.fetchval(
            "SELECT count(*) FROM reconciliation_differences"
            " WHERE resolved_by IS NULL AND version_block IS NULL"
        )
    finally:
        await connection.close()


async def test_a_difference_ends_with_the_rows_next_version() -> None:
    """What nothing told at block 31, the next event of the market puts right."""
    folder = DATA / "devnet-v10-genesis"
    loaded = chain.load(folder)
    head = playhead.Playhead.at_block(loaded, 31)
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(loaded, head) as node,
    ):
        # A sample at the head would tell the rate model that no event told.
        environ = environment(folder, node.url, url) | {"VESU_PRICES_SAMPLE_SECONDS": "0"}
        await stage.command(environ, "run", "--until-block", "31", "--no-serve")
        found = await stage.json_of(environ, "reconcile", expect=1)
        assert {one["table"] for one in found["differences"]} == {
            "vesu_assets",
            "vesu_asset_history",
        }
        status = await stage.json_of(environ, "status", expect=1)
        assert status["standing_differences"] == 2
        head.go_to(35)
        await stage.command(environ, "run", "--until-block", "35", "--no-serve")
        await stage.json_of(environ, "reconcile")
        status = await stage.json_of(environ, "status", expect=None)
    assert status["standing_differences"] == 0
