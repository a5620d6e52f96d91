"""What a replay marks in the histories is what their views show to differ, whatever was spoiled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.projections import stored_valuations, tables
from indexer.projections.shadow import build, swap
from indexer.store import database
from tests import postgres
from tests.hostile import chain

OTHER_ID = "overlay(id::text PLACING 'f0f0f0f0' FROM 1)::uuid"

SPOILED = {
    "nothing": "SELECT",
    "versions": """
        UPDATE position_versions SET collateral_shares = collateral_shares + 1
            WHERE block_number % 2 = 0;
        UPDATE asset_versions SET reserve = 0; UPDATE pool_versions SET debt_cap = NULL
    """,
    "a version less": "DELETE FROM asset_versions WHERE block_number = 3",
    "a version more": """
        INSERT INTO position_versions (id, block_number, transaction_index, event_index,
            collateral_shares, nominal_debt, vtoken_balance_raw, status, changed_at)
        SELECT id, block_number, 77, event_index, collateral_shares, nominal_debt,
            vtoken_balance_raw, status, changed_at
        FROM position_versions
    """,
    "a row": """
        UPDATE vesu_positions SET user_id = '0xa' WHERE id = (SELECT min(id::text)::uuid
            FROM vesu_positions);
        UPDATE vesu_assets SET protocol = 'v0'; UPDATE vesu_pools SET debt_address = '0xb'
    """,
    "a row less": "DELETE FROM vesu_positions; DELETE FROM vesu_assets",
    "rows of another pool": f"""
        UPDATE vesu_assets SET id = {OTHER_ID}, pool_id = '0x1';
        INSERT INTO vesu_pools SELECT (json_populate_record(
            p, '{{"pool_id": "0x2", "pool_address": "0x2"}}')).* FROM vesu_pools p
    """,
    "what only readers see": "UPDATE vesu_positions SET collateral_asset = 'another'",
    "settings": "UPDATE asset_settings SET fee_rate = fee_rate + 1",
    "settings less": "DELETE FROM asset_settings",
    "settings by another id": f"""
        INSERT INTO asset_settings SELECT (json_populate_record(
            s, json_build_object('id', {OTHER_ID}))).* FROM asset_settings s;
        UPDATE asset_versions SET settings_id =
            overlay(settings_id::text PLACING 'f0f0f0f0' FROM 1)::uuid
    """,
    "no such settings": "UPDATE asset_versions SET settings_id = id WHERE block_number > 3",
}


@pytest.fixture(scope="module")
async def honest() -> AsyncIterator[str]:
    """A database with the honest chain; only to be copied."""
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        yield url


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED.keys())
@pytest.mark.parametrize("first", [1, 3])
async def test_marks_are_the_differences_of_the_views(
    honest: str, spoiled: str, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_valuations, "check", nothing_is_valued)
    async with (
        postgres.fresh_database(copy_of=honest) as url,
        database.session(url) as connection,
    ):
        built = build.Shadow(connection, chain.engine())
        await built.open(first)
        # No trigger looks whether something refers to what is deleted.
        await postgres.execute(url, f"SET session_replication_role = replica; {spoiled}")
        span = await built.catch_up(lambda _: None)
        async with connection.transaction(isolation="repeatable_read"):
            await swap.mark(built, span)
            for history in tables.HISTORIES:
                marked = await connection.fetch(
                    f"SELECT {', '.join(history.key)}, in_live, in_shadow "
                    f"FROM vesu_shadow.differing_{history.name} WHERE differs"
                )
                found = sorted(map(tuple, marked))
                assert found == await differences(connection, history, first), history.name
                if spoiled == "SELECT":
                    assert found == []


async def nothing_is_valued(*_: object, **__: object) -> stored_valuations.Checked:
    """Some of what is spoiled here cannot be valued at all."""
    return stored_valuations.Checked()


async def differences(
    connection: asyncpg.Connection, history: tables.Table, first: int
) -> list[tuple[Any, ...]]:
    """Keys of the history's rows that are not the same in both schemas, and where they are."""
    columns = ", ".join(history.columns)
    sides = []
    for schema in ("public", "vesu_shadow"):
        rows = await connection.fetch(
            f"SELECT {columns} FROM {schema}.{history.name} WHERE block_number >= {first}"
        )
        sides.append({tuple(row[name] for name in history.key): tuple(row) for row in rows})
    live, shadow = sides
    return sorted(
        (*key, key in live, key in shadow)
        for key in live.keys() | shadow.keys()
        if live.get(key) != shadow.get(key)
    )
