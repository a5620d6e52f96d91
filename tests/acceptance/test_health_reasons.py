"""Health is the conjunction of all proofs: each makes it bad alone, by its name and remedy."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.audit import invariants
from indexer.query import health, status
from indexer.store import database
from tests import postgres
from tests.acceptance import api_client, stage, truth
from tests.acceptance.test_http import value

PATIENT = {"VESU_HEALTH_SILENCE_SECONDS": "86400"}
LIMITS = status.Limits(silence=86_400.0, prices=900.0)

CHECK = """
INSERT INTO reconciliations (origin, block_number, block_hash, committed_block, scope, rows, asked,
    compared, refused, differences, views, seconds)
SELECT 'command', block_number, block_hash, block_number, 'all', 1, 1, 1, 0, 1, '{}', 1 FROM cursor
"""
DIFFERENCE = """
INSERT INTO reconciliation_differences (reconciliation_id, table_name, row_id, column_name, view,
    contract, calldata, ours, theirs)
SELECT r.id, 'vesu_assets', a.id::text, 'reserve', 'asset_config', a.pool_address, '{}', '1', '2'
FROM reconciliations r CROSS JOIN (
    SELECT * FROM vesu_assets
    WHERE pool_id = (SELECT min(address) FROM contracts WHERE kind = 'pool_v2')
    ORDER BY id LIMIT 1
) a
"""
BROKEN = """
INSERT INTO invariant_breaks
SELECT 'nominal_debt', 'v2 ' || min(address) || ' 0x2', 3, 1, 90, 90
FROM contracts WHERE kind = 'pool_v2'
"""
FROZEN = """
UPDATE contracts SET quarantine_reason = 'it took more than there is'
WHERE address = (SELECT min(address) FROM contracts WHERE kind = 'pool_v2')
"""
NOT_DONE = "INSERT INTO check_failures VALUES ('reconcile', 'no answer', 3, true)"
OLD_PRICE = """
UPDATE vesu_assets SET price_block = (SELECT min(number) FROM blocks), price_is_valid = true
WHERE total_collateral_shares > 0
    AND pool_id = (SELECT min(address) FROM contracts WHERE kind = 'pool_v2')
"""
ANCIENT = "UPDATE blocks SET timestamp = timestamp - interval '2 years' WHERE number < 10"

REASONS: dict[health.Name, tuple[str, ...]] = {
    "differences": (CHECK, DIFFERENCE),
    "broken_sums": (BROKEN,),
    "quarantined_pools": (FROZEN,),
    "check_not_done": (NOT_DONE,),
    "stale_prices": (OLD_PRICE, ANCIENT),
}


@pytest.fixture
async def sound(indexed_copy: str, recorded: truth.Recorded) -> dict[str, str]:
    """The environment of a sound database's commands."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_copy, **PATIENT)
    assert (await stage.json_of(environ, "status"))["reasons"] == []
    return environ


@pytest.mark.parametrize("name", REASONS)
async def test_each_proof_alone_makes_health_bad(
    name: health.Name, sound: dict[str, str], indexed_copy: str
) -> None:
    await postgres.execute(indexed_copy, *REASONS[name])
    async with api_client.serving(indexed_copy, limits=LIMITS) as api:
        told = await api.ask("/health")
        async with api.session.get("/metrics") as answer:
            metrics = await answer.text()
    assert (told.status, told.body["status"]) == (503, "stale")
    assert [one["name"] for one in told.body["reasons"]] == [name]
    assert told.body["reason"] == told.body["reasons"][0]["reason"]
    for one in health.NAMES:
        assert value(metrics, f'vesu_unhealthy{{reason="{one}"}}') == (one == name)
    _, said, _ = await stage.command(sound, "status", expect=1)
    assert f"unhealthy  {name}: {told.body['reason']}" in said
    assert f"remedy     {health.REMEDIES[name]}" in said
    _, doctor, _ = await stage.command(sound, "doctor", expect=None)
    assert told.body["reason"] in doctor


async def test_no_reason_hides_another(sound: dict[str, str], indexed_copy: str) -> None:
    await postgres.execute(
        indexed_copy, *(statement for parts in REASONS.values() for statement in parts)
    )
    found = await stage.json_of(sound, "status", expect=1)
    assert [one["name"] for one in found["reasons"]] == list(REASONS)


POSITION_DIFFERS = """
INSERT INTO reconciliation_differences (reconciliation_id, table_name, row_id, column_name, view,
    contract, calldata, ours, theirs)
SELECT r.id, table_name, p.id::text, 'nominal_debt', 'position', p.pool_address, '{}', '1', '2'
FROM reconciliations r
CROSS JOIN unnest('{vesu_positions, vesu_position_history}'::text[]) AS table_name
CROSS JOIN (
    SELECT * FROM vesu_positions
    WHERE pool_id = (SELECT min(address) FROM contracts WHERE kind = 'pool_v2')
    ORDER BY id LIMIT 1
) p
"""
PAIR_DIFFERS = """
INSERT INTO reconciliation_differences (reconciliation_id, table_name, row_id, column_name, view,
    contract, calldata, ours, theirs)
SELECT r.id, 'vesu_pools', p.id::text, 'max_ltv', 'pair_config', p.pool_address, '{}', '1', '2'
FROM reconciliations r CROSS JOIN (
    SELECT * FROM vesu_pools
    WHERE pool_id = (SELECT min(address) FROM contracts WHERE kind = 'pool_v2')
    ORDER BY id LIMIT 1
) p
"""
SETTING_DIFFERS = """
INSERT INTO reconciliation_differences (reconciliation_id, table_name, row_id, column_name, view,
    contract, calldata, ours, theirs)
SELECT r.id, 'contracts', c.address || ' ' || c.kind, 'owner', 'owner', c.address, '{}', '1', '2'
FROM reconciliations r CROSS JOIN contracts c
WHERE c.address = (SELECT min(address) FROM contracts WHERE kind = 'pool_v2')
"""


@pytest.mark.parametrize(
    ("spoiling", "shown"),
    [
        (REASONS["differences"], "standing_differences"),
        ((CHECK, POSITION_DIFFERS, PAIR_DIFFERS, SETTING_DIFFERS), "standing_differences"),
        (REASONS["broken_sums"], "invariant_breaks"),
        (REASONS["quarantined_pools"], "quarantined"),
        (REASONS["stale_prices"], "prices"),
    ],
    ids=["an asset", "positions, pairs and settings", "sums", "frozen", "prices"],
)
async def test_a_pool_that_is_not_listed_makes_nothing_unhealthy(
    spoiling: tuple[str, ...], shown: str, sound: dict[str, str], indexed_copy: str
) -> None:
    """A stranger's pool can be of any class: nobody is woken for it, and `status` shows it."""
    await postgres.execute(indexed_copy, *spoiling)
    assert (await stage.json_of(sound, "status", expect=1))["reasons"]
    await postgres.execute(
        indexed_copy,
        "INSERT INTO listed_pools SELECT max(address), NULL, 'configuration' FROM contracts "
        "WHERE kind = 'pool_v2'",
        *(
            f"UPDATE {table} SET is_listed = pool_id IN (SELECT pool_id FROM listed_pools)"
            for table in ("vesu_pools", "vesu_assets", "vesu_positions")
        ),
    )
    status = await stage.json_of(sound, "status")
    assert status["reasons"] == []
    assert status[shown]


async def test_a_replay_settles_what_it_mends(
    sound: dict[str, str], indexed_copy: str, recorded: truth.Recorded
) -> None:
    """A row changed by hand broke a sum; nobody touches the asset again."""
    await postgres.execute(
        indexed_copy,
        "UPDATE vesu_positions SET nominal_debt = nominal_debt + 3 WHERE id = "
        "(SELECT id FROM vesu_positions WHERE nominal_debt > 0 ORDER BY id LIMIT 1)",
    )
    connection = await database.connect(indexed_copy)
    try:
        await _note_breaks(connection, recorded.last_block)
    finally:
        await connection.close()
    broken = await stage.json_of(sound, "status", expect=1)
    assert [one["name"] for one in broken["reasons"]] == ["broken_sums"]
    await stage.command(sound, "replay", "--from-block", "0")
    assert (await stage.json_of(sound, "status"))["reasons"] == []


async def _note_breaks(connection: asyncpg.Connection, block: int) -> None:
    """As the daemon notes them after a batch."""
    assets = await connection.fetch("SELECT pool_id, asset_address FROM vesu_assets")
    keys = [(row["pool_id"], row["asset_address"]) for row in assets]
    found = await invariants.watch(connection, block, keys, with_valuations=True)
    assert found.standing == 1
