"""`audit` holds on a sound database and names what was changed by hand."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.audit import refold
from indexer.projections import engine
from indexer.recording import server
from indexer.vesu import discovery, kinds
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
    assert compared["log complete against the chain"] == 97  # the others are sampled
    assert compared["refolded log equals the tables"] > 1_300
    assert all(one["why"] for one in found["not_covered"])
    _, out, _ = await stage.command(environ, "audit", "--markdown")
    assert out.startswith("# Audit at block 125")
    assert "**no**" not in out


# So much of the largest that its worth is another one, too, whatever is rounded.
SPOIL_SHARES = (
    "UPDATE vesu_positions SET collateral_shares = collateral_shares + 1000000000000 WHERE id = "
    "(SELECT id FROM vesu_positions WHERE kind = 'borrow' AND status = 'active'"
    " ORDER BY collateral_shares DESC, id LIMIT 1)"
)
SPOIL_BALANCE = (
    "UPDATE vesu_positions SET vtoken_balance_raw = vtoken_balance_raw - 1000000000000 WHERE id = "
    "(SELECT id FROM vesu_positions WHERE kind = 'earn' AND status = 'active'"
    " ORDER BY vtoken_balance_raw DESC, id LIMIT 1)"
)


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        (
            SPOIL_SHARES,
            {
                "current rows equal their history",
                "refolded log equals the tables",
                "stored valuations",
                "sum of collateral shares",
                "sum of pair shares",
            },
        ),
        (
            SPOIL_BALANCE,
            {
                "current rows equal their history",
                "refolded log equals the tables",
                "stored valuations",
                "sum of v token supply",
            },
        ),
        (
            "UPDATE vesu_liquidations SET bad_debt_raw = bad_debt_raw + 1",
            {"refolded log equals the tables", "sum of liquidations"},
        ),
        (
            "UPDATE vesu_transactions SET gas_used = gas_used + 1 WHERE block_number > 100",
            {"refolded log equals the tables"},
        ),
        ("DROP INDEX idx_vesu_positions_user_id", {"indexes"}),
        (
            "DELETE FROM events WHERE block_number = 70",
            {"events as they were committed", "refolded log equals the tables"},
        ),
    ],
)
async def test_what_was_changed_by_hand_is_named(
    indexed_copy: str, recorded: truth.Recorded, statement: str, broken: set[str]
) -> None:
    await postgres.execute(indexed_copy, statement)
    environ = stage.environment(recorded, NOWHERE, indexed_copy)
    found = await stage.json_of(environ, "audit", expect=1)
    assert {check["name"] for check in found["checks"] if not check["is_good"]} == broken


async def test_a_sample_is_refolded_by_seed(
    indexed_url: str, recorded: truth.Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log larger than the sample: parts of it, the same by seed, the rest named as such."""
    monkeypatch.setattr(refold, "SAMPLE_EVENTS", 40)
    connection = await asyncpg.connect(indexed_url)
    path = await connection.fetchval("SHOW search_path")
    known = discovery.Known(kinds.Kind.POOL_FACTORY_V2)

    async def sample(seed: int) -> refold.Refolded:
        book = engine.Engine([(int(recorded.factory, 16), known)])
        return await refold.refold(connection, refold.Refolding(book, "sample", seed))

    try:
        one, again, other = [await sample(seed) for seed in (1, 1, 2)]
        assert await connection.fetchval("SELECT to_regnamespace('vesu_shadow')") is None
        assert await connection.fetchval("SHOW search_path") == path
    finally:
        await connection.close()
    assert one == again != other
    assert not one.is_whole
    assert one.differing == other.differing == []
    assert 40 <= one.events < 672
    assert len(one.blocks) > 1


async def test_what_cannot_be_refolded_is_not_covered(
    indexed_url: str, recorded: truth.Recorded
) -> None:
    environ = stage.environment(recorded, NOWHERE, indexed_url)
    connection = await asyncpg.connect(indexed_url)
    try:
        await connection.execute("CREATE SCHEMA vesu_shadow")
        found = await stage.json_of(environ, "audit")
    finally:
        await connection.execute("DROP SCHEMA vesu_shadow")
        await connection.close()
    why = {one["what"]: one["why"] for one in found["not_covered"]}
    assert "a shadow of a replay is there" in why["refolded log equals the tables"]
    off = await stage.json_of(environ, "audit", "--refold", "off")
    assert "not asked for" in str(off["not_covered"])
    assert off["compared"] == found["compared"]


async def test_the_contracts_are_asked_where_a_node_is_configured(
    indexed_url: str, recorded: truth.Recorded
) -> None:
    """Equal at the committed block; without a node, and with --views off, the report says why."""
    what = "rows equal the contracts' views"
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, indexed_url)
        found = await stage.json_of(environ, "audit", "--refold", "off", "--views", "all")
    [check] = [check for check in found["checks"] if check["name"] == what]
    assert check["is_good"]
    assert check["compared"] > 500
    environ = stage.environment(recorded, NOWHERE, indexed_url)
    alone = await stage.json_of(environ, "audit", "--refold", "off")
    assert "cannot be reached" in {one["what"]: one["why"] for one in alone["not_covered"]}[what]
    assert alone["compared"] == found["compared"] - check["compared"]
    off = await stage.json_of(environ, "audit", "--refold", "off", "--views", "off")
    assert "--views off" in {one["what"]: one["why"] for one in off["not_covered"]}[what]
