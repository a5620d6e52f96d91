"""A real mainnet block of V1.1, through the shipped commands configured for mainnet.

The block is recorded and hash-verified; the state before it is given, as its own receipt and
`expected.json` tell it. Its parent is a stand-in with the right hash and nothing in it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from indexer.cairo import felt252, selector
from indexer.chain import types
from indexer.log import cursor, encoded_range, facts, watch_list
from indexer.projections import encoded_rows, memory, tables, valuations, writing
from indexer.recording import chain, server
from indexer.store import database, migrate
from indexer.vesu import accrual, deployments, discovery, kinds, maths, state
from tests import postgres
from tests.acceptance import stage
from tests.hostile import rewriting

FOLDER = Path(__file__).parents[1] / "data" / "mainnet-3573626"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
BLOCK = EXPECTED["block_number"]
NOW = EXPECTED["timestamp"]


def felt(name: str) -> int:
    return int(EXPECTED[name], 16)


POOL = state.PoolKey(felt("singleton"), felt("pool_id"))
ETH, USDT = felt("collateral_asset"), felt("debt_asset")
V_ETH, EXTENSION, USER = felt("vtoken_eth_genesis"), felt("extension"), felt("user")
CONFIGS = EXPECTED["update_context"]


def samples(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the extension answers: prices, as the block's context tells them, and no rate models.

    All else that is needed the given state knows.
    """
    for side, asset in (("collateral", ETH), ("debt", USDT)):
        asked = {
            "block_number": block["block_number"],
            "block_hash": block["block_hash"],
            "contract": hex(EXTENSION),
            "calldata": [hex(POOL.id), hex(asset)],
        }
        price = [hex(int(CONFIGS[f"{side}_price"])), "0x0", "0x1"]
        model = {"code": 40, "message": "Contract error"}
        yield asked | called("price") | {"result": price}
        yield asked | called("interest_rate_config") | {"error": model}


def called(view: str) -> dict[str, Any]:
    return {"name": view, "selector": hex(selector.of(view))}


@pytest.fixture
def recording(tmp_path: Path) -> chain.Recording:
    """The block and a stand-in for its parent, as a recorded chain."""
    block = json.loads((FOLDER / "block_3573626_with_receipts.json").read_text())
    parent = block | {
        "block_number": BLOCK - 1,
        "block_hash": block["parent_hash"],
        "parent_hash": "0x1",
        "timestamp": NOW - 2,
        "transactions": [],
    }
    manifest = {"chain_id": hex(deployments.SN_MAIN), "spec_version": "0.9.0"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with gzip.open(tmp_path / "blocks.jsonl.gz", "wt") as lines:
        lines.writelines(json.dumps(one) + "\n" for one in (parent, block))
    with gzip.open(tmp_path / "events.jsonl.gz", "wt") as lines:
        lines.writelines(json.dumps(event) + "\n" for event in rewriting.events_of(block))
    with gzip.open(tmp_path / "calls.jsonl.gz", "wt") as lines:
        lines.writelines(json.dumps(call) + "\n" for call in samples(block))
    return chain.load(tmp_path)


def market(side: str, **changes: Any) -> accrual.AssetState:
    """A market just before the block: as the block's context tells it, less what it did."""
    told = {name: int(value) for name, value in CONFIGS[f"{side}_asset_config"].items()}
    told["is_legacy"] = bool(told["is_legacy"])
    return accrual.AssetState(
        **told | changes, variant=maths.Variant.V1_1B, block_number=BLOCK - 1, updated_at=NOW - 2
    )


def given() -> state.World:
    repaid, nominal = (
        -int(EXPECTED["modify_position"][f"{name}_delta"]) for name in ("debt", "nominal_debt")
    )
    debt = CONFIGS["debt_asset_config"]
    before = EXPECTED["position_before"]
    place = {"created_block": BLOCK - 1, "created_at": NOW - 2, "last_event_block": BLOCK - 1}
    held = {"created_at": NOW - 2, "last_updated": NOW - 2, "last_event_block": BLOCK - 1}
    pair = state.PairState(
        total_collateral_shares=10**22, total_nominal_debt=10**24, created_at=NOW, updated_at=NOW
    )
    return state.World(
        contracts={
            V_ETH: state.ContractState(kinds.Kind.VTOKEN_V1_1, POOL, ETH, symbol="vETH", **place)
        },
        pools={
            POOL: state.ContractState(
                kinds.Kind.POOL_V1_1, POOL, name="Genesis", extension=EXTENSION, **place
            )
        },
        assets={
            state.AssetKey(POOL, ETH): market("collateral", v_token=V_ETH),
            state.AssetKey(POOL, USDT): market(
                "debt",
                total_nominal_debt=int(debt["total_nominal_debt"]) + nominal,
                reserve=int(debt["reserve"]) - repaid,
            ),
        },
        pairs={state.PairKey(POOL, ETH, USDT): pair},
        positions={
            state.PositionKey(POOL, ETH, USDT, 0, USER): state.PositionState(
                "borrow", int(before["collateral_shares"]), int(before["nominal_debt"]), **held
            ),
            state.PositionKey(POOL, ETH, 0, 0, EXTENSION): state.PositionState(
                "system",
                int(EXPECTED["extension_position_before"]["collateral_shares"]),
                **held,
            ),
        },
    )


async def seed(url: str, parent: chain.Block) -> None:
    """Write the given state as if it had been folded from earlier blocks."""
    migrate.apply(url)
    connection = await asyncpg.connect(database.asyncpg_url(url))
    held = memory.Memory(
        {entry.address: discovery.Known(entry.kind) for entry in deployments.mainnet()}
    )
    held.world = given()
    at = state.EventKey(BLOCK - 1, 0, 0)
    journal = state.Journal(
        contracts=[(at, *one) for one in held.world.contracts.items()],
        pools=[(at, *one) for one in held.world.pools.items()],
        assets=[(at, *one) for one in held.world.assets.items()],
        pairs=[(at, *one) for one in held.world.pairs.items()],
        positions=[(at, *one) for one in held.world.positions.items()],
    )
    tip = types.BlockHeader(
        number=parent.number,
        hash=parent.hash,
        parent_hash="0x1",
        timestamp=NOW - 2,
        starknet_version="0.14.0",
        status="ACCEPTED_ON_L2",
        event_count=None,
        event_commitment=None,
    )
    part = types.Range(tip.number, tip.number, tip.parent_hash, tip, [], [])
    async with connection.transaction():
        stands = await cursor.open_for(
            connection, hex(deployments.SN_MAIN), tip.number, tables.FOLD_VERSION
        )
        await cursor.advance(connection, stands, tip)
        known = [
            watch_list.Contract(entry.address, entry.kind.value, entry.from_block)
            for entry in deployments.mainnet()
        ]
        await watch_list.remember(connection, tip.number, known)
        batch = facts.batch_of(part)
        await encoded_range.append_blocks(connection, await encoded_range.encode(part, batch, []))
        block = valuations.Block(tip.number, tip.timestamp)
        valuer = valuations.Valuer(held.world, block)
        encoded = await encoded_rows.encode(held, batch, journal, block)
        await writing.write(connection, held, batch, journal, encoded, valuer)
    await connection.close()


@pytest.fixture
async def folded(recording: chain.Recording) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    """The given state, with the block folded onto it; and what `doctor` said."""
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(recording) as node,
    ):
        environ = stage.clean_environment() | {
            "DATABASE_URL": url,
            "VESU_NETWORK_NAME": "mainnet",
            "VESU_NETWORK_START_BLOCK": str(BLOCK - 1),
            "VESU_NODE_URLS": node.url,
        }
        await seed(url, recording.main.blocks[BLOCK - 1])
        await stage.command(environ, "run", "--until-block", str(BLOCK), "--no-serve")
        _, doctor, _ = await stage.command(environ, "doctor", expect=None)
        connection = await asyncpg.connect(database.asyncpg_url(url))
        yield connection, doctor
        await connection.close()


async def test_the_block_is_folded_onto_the_given_state(
    folded: tuple[asyncpg.Connection, str],
) -> None:
    connection, doctor = folded
    assert "singleton_v1_1: UpdateContext, ModifyPosition, TransferPosition" in doctor
    emitters = await connection.fetch(
        "SELECT contract, array_agg(name ORDER BY event_index) AS names FROM events GROUP BY 1"
    )
    assert {row["contract"]: row["names"] for row in emitters} == {
        "singleton_v1_1": EXPECTED["event_order"],
        "vtoken_v1_1": ["Transfer"],
    }
    held = await connection.fetch(
        "SELECT user_id, v_token, collateral_shares, nominal_debt, vtoken_balance_raw, status "
        "FROM vesu_positions"
    )
    found = {(row["user_id"], row["v_token"]): tuple(row)[2:] for row in held}
    moved = -int(EXPECTED["transfer_position"]["collateral_shares_delta"])
    after = int(EXPECTED["extension_position_after"]["collateral_shares"])
    assert found == {
        (felt252.padded(USER), None): (0, 0, 0, "closed"),
        (felt252.padded(EXTENSION), None): (after, 0, 0, "active"),
        (felt252.padded(USER), felt252.padded(V_ETH)): (0, 0, moved, "active"),
    }
    rows = await connection.fetch(
        "SELECT type, asset_address, amount_raw FROM vesu_transactions ORDER BY event_index, leg"
    )
    told = EXPECTED["transfer_position"]
    assert [tuple(row) for row in rows] == [
        ("repay", felt252.padded(USDT), int(EXPECTED["modify_position"]["debt_delta"])),
        ("transfer", felt252.padded(V_ETH), moved),
        ("transfer", felt252.padded(ETH), int(told["collateral_delta"])),
    ]


async def test_the_markets_stand_as_the_block_tells_them(
    folded: tuple[asyncpg.Connection, str],
) -> None:
    connection, _ = folded
    for side, asset in (("collateral", ETH), ("debt", USDT)):
        row = await connection.fetchrow(
            "SELECT * FROM vesu_assets WHERE asset_address = $1", felt252.padded(asset)
        )
        assert row is not None
        told = CONFIGS[f"{side}_asset_config"]
        for name in told.keys() - {"is_legacy", "last_updated"}:
            assert row[name] == int(told[name]), (side, name)
        assert row["price"] == int(CONFIGS[f"{side}_price"])
        assert row["block_number"] == BLOCK
