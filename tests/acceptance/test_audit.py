"""`audit` holds on a sound database and names what was changed by hand."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.recording import chain, server
from tests import postgres
from tests.acceptance import stage, truth

NOWHERE = "http://127.0.0.1:1"


async def test_a_sound_database_passes(indexed_url: str, recorded: truth.Recorded) -> None:
    environ = stage.environment(recorded, NOWHERE, indexed_url)
    found = await stage.json_of(environ, "audit")
    assert found["is_good"], found
    compared = {check["name"]: check["compared"] for check in found["checks"]}
    print(f"{found['compared']} comparisons: {compared}")
    assert compared["sum of collateral shares"] == 16
    assert compared["sum of v token supply"] == 17
    assert compared["events as they were committed"] == 97
    assert compared["log complete against the chain"] == 0  # sampled: not one by one
    _, out, _ = await stage.command(environ, "audit", "--markdown")
    assert out.startswith("# Audit at block 125")
    assert "**no**" not in out


SPOIL_SHARES = (
    "UPDATE vesu_positions SET collateral_shares = collateral_shares + 1 WHERE id = "
    "(SELECT id FROM vesu_positions WHERE kind = 'borrow' AND status = 'active' LIMIT 1)"
)
SPOIL_BALANCE = (
    "UPDATE vesu_positions SET vtoken_balance_raw = vtoken_balance_raw - 1 WHERE id = "
    "(SELECT id FROM vesu_positions WHERE kind = 'earn' AND status = 'active' LIMIT 1)"
)


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        (
            SPOIL_SHARES,
            {"current rows equal their history", "sum of collateral shares", "sum of pair shares"},
        ),
        (SPOIL_BALANCE, {"current rows equal their history", "sum of v token supply"}),
        (
            "UPDATE vesu_liquidations SET bad_debt_raw = bad_debt_raw + 1",
            {"sum of liquidations"},
        ),
        ("DROP INDEX idx_vesu_positions_user_id", {"indexes"}),
        ("DELETE FROM events WHERE block_number = 70", {"events as they were committed"}),
    ],
)
async def test_what_was_changed_by_hand_is_named(
    recorded: truth.Recorded, statement: str, broken: set[str]
) -> None:
    async with postgres.fresh_database() as url:
        async with server.RecordingServer(chain.load(recorded.folder)) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(
                environ, "run", "--until-block", str(recorded.last_block), "--no-serve"
            )
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()
        environ = stage.environment(recorded, NOWHERE, url)
        found = await stage.json_of(environ, "audit", expect=1)
    assert {check["name"] for check in found["checks"] if not check["is_good"]} == broken
