"""Point in time of Vesu V1: `indexer.query` against the contracts, migrations included."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from indexer.query import assets, pools, positions, totals
from indexer.store import database
from tests.acceptance import past, tables_v1, truth_v1


@pytest.fixture
async def asked(indexed_v1: tables_v1.Indexed) -> AsyncIterator[past.Past]:
    connection = await database.connect(indexed_v1.url)
    yield await past.Past.of(connection, indexed_v1.recorded)
    await connection.close()


Keyed = dict[tuple[str, ...], positions.Position]


async def by_protocol(connection: asyncpg.Connection, at: Any) -> Keyed:
    found = await positions.find(connection, at=at)
    return {
        (one.protocol, one.pool_id, one.collateral_address, str(one.debt_address), one.user_id): one
        for one in found.positions
        if one.v_token is None
    }


async def test_positions_equal_the_contracts(asked: past.Past) -> None:
    """position_unsafe() of both singletons at every block, state and amounts.

    V1.1 reads through to what nobody migrated yet: so does the answer here, from V1.0's row
    with V1.1's markets. What V1.0 keeps of a migrated position is state without worth.
    """
    recorded = asked.recorded
    assert isinstance(recorded, truth_v1.RecordedV1)
    older, newer = recorded.address("singleton_v10"), recorded.address("singleton_v11")
    compared = through = behind = 0
    for answer in recorded.answered("position_unsafe"):
        key = tuple(map(past.hexed, answer.arguments.values()))
        block, contract = answer.block, answer.contract
        found = await asked.ask(by_protocol, block)
        v10, v11 = found.get(("v1.0", *key)), found.get(("v1.1", *key))
        held: truth_v1.Held = answer.value
        state = [held.position.collateral_shares, held.position.nominal_debt]
        theirs = [*state, held.collateral, held.debt]
        if contract == older:
            if v10 is not None and _is_handed_on(v10, found):
                ours, theirs = [int(v10.collateral_shares), int(v10.nominal_debt)], state
                behind += 1
            else:
                ours = _numbers(v10)
        else:
            assert contract == newer
            is_through = v10 is not None and v10.migrated_block is None and v11 is None
            ours = _numbers(v10 if is_through else v11)
            through += is_through
        assert ours == theirs, f"{key} of {contract:#x} at block {block}"
        compared += len(ours)
    name = recorded.folder.name
    print(f"{name}: compared {compared} values of position_unsafe(), {through} read through")
    assert compared > 5_000
    if name == "devnet-v10-migration":
        assert through > 50
        assert behind > 50


def _is_handed_on(one: positions.Position, found: Keyed) -> bool:
    """Whether the pool of a V1.0 position has any position in V1.1 already."""
    return any(key[:2] == ("v1.1", one.pool_id) for key in found)


def _numbers(one: positions.Position | None) -> list[int]:
    if one is None:
        return [0, 0, 0, 0]
    texts = (one.collateral_shares, one.nominal_debt, one.collateral_raw, one.debt_raw)
    return [int(text) for text in texts]


async def by_asset(connection: asyncpg.Connection, at: Any) -> dict[Any, assets.Asset]:
    found = await assets.find(connection, at=at)
    return {(one.pool_address, one.pool_id, one.asset_address): one for one in found.assets}


async def test_assets_equal_the_contracts(asked: past.Past) -> None:
    """asset_config_unsafe() of both singletons at every block."""
    recorded = asked.recorded
    assert isinstance(recorded, truth_v1.RecordedV1)
    compared = 0
    for answer in recorded.answered("asset_config_unsafe"):
        key = tuple(map(past.hexed, (answer.contract, *answer.arguments.values())))
        one = (await asked.ask(by_asset, answer.block))[key]
        theirs: dict[str, Any] = msgspec.structs.asdict(answer.value.config)
        theirs["last_updated"] = past.at_second(theirs["last_updated"])
        for field, value in theirs.items():
            ours = getattr(one, field)
            ours = int(ours) if isinstance(ours, str) else ours
            assert ours == value, f"{field} of {key} at block {answer.block}"
            compared += 1
    print(f"{recorded.folder.name}: compared {compared} values of asset_config_unsafe()")
    assert compared > 2_500


async def test_totals_count_a_migrated_pool_once(asked: past.Past) -> None:
    """At every block no asset of a pool id is in the totals of two generations."""
    for block in sorted(asked.stored):
        found = await totals.find(asked.connection, at=block)
        members = [
            (asset.pool_id, asset.asset_address) for one in found.pools for asset in one.assets
        ]
        assert len(members) == len(set(members))


async def test_one_position_is_where_it_is_held(asked: past.Past) -> None:
    """Asked by pool id, a position that moved is V1.1's after the move and V1.0's before."""
    every = (await positions.find(asked.connection)).positions
    # What the extensions held went to another holder, the new extension.
    moved = [one for one in every if one.migrated_block is not None and one.kind == "borrow"]
    for one in moved:
        named = [one.pool_id, one.collateral_address, one.debt_address or "0x0", one.user_id]
        numbers = [int(text, 16) for text in named]
        assert one.migrated_block is not None
        before = max(block for block in asked.stored if block < one.migrated_block)
        then = await positions.one(asked.connection, *numbers, at=before)
        after = await positions.one(asked.connection, *numbers, at=one.migrated_block)
        assert then is not None
        assert after is not None
        assert (then.position.protocol, after.position.protocol) == ("v1.0", "v1.1")
        assert then.position.id == one.id
    assert bool(moved) == (asked.recorded.folder.name == "devnet-v10-migration")


async def test_rows_equal_the_current_tables(asked: past.Past) -> None:
    """State columns at the head; every column of positions at the block they were valued at."""
    for table, found in (
        ("vesu_positions", (await positions.find(asked.connection)).positions),
        ("vesu_pools", (await pools.find(asked.connection)).pools),
    ):
        rows = {str(row["id"]): row for row in await asked.connection.fetch(f"TABLE {table}")}
        assert {one.id for one in found} == set(rows)
    compared = 0
    for block in {row["valued_at_block"] for row in await _positions(asked)}:
        then = {one.id: one for one in (await positions.find(asked.connection, at=block)).positions}
        for row in await _positions(asked):
            if row["valued_at_block"] == block:
                for name, value in msgspec.structs.asdict(then[str(row["id"])]).items():
                    if name in row.keys():  # noqa: SIM118
                        assert past.same(value, row[name]), f"{name} of {row['id']}"
                        compared += 1
    print(f"{asked.recorded.folder.name}: compared {compared} columns of positions")
    assert compared > 500


async def _positions(asked: past.Past) -> list[asyncpg.Record]:
    return await asked.connection.fetch("SELECT * FROM vesu_positions")
