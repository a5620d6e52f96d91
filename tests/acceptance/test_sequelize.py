"""The application in docs/examples/sequelize, run by Node on a filled database: every method.

Expected values come from the tables by SQL of the test's own, and from exact arithmetic in Python.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from tests import postgres
from tests.acceptance import sequelize_stage

ROLE = f"app_{uuid.uuid4().hex}"
USER = str(uuid.uuid4())
NEW_HASH = f"0x{0xABCDEF:064x}"


@pytest.fixture(scope="module")
async def url(indexed_once: str) -> AsyncIterator[str]:
    """A filled database, and a role whose search_path is all that was set up.

    Health factors near the limits that the guide names are put in: the recording has few.
    """
    async with postgres.fresh_database(copy_of=indexed_once) as copied:
        await postgres.execute(
            copied,
            f"CREATE ROLE {ROLE} LOGIN PASSWORD 'secret'",
            f"ALTER ROLE {ROLE} SET search_path = vesu_guide, public",
        )
        ids = await postgres.fetch(
            copied,
            "SELECT id FROM vesu_positions WHERE kind = 'borrow' AND status = 'active' "
            "AND debt_raw > 0 ORDER BY id LIMIT 6",
        )
        healths = ("0.999999999999999999", "1", "1.049999999999999999", "1.05", "1.2", "0.5")
        await postgres.execute(
            copied,
            *(
                f"UPDATE vesu_positions SET health_factor = {health} WHERE id = '{row['id']}'"
                for row, health in zip(ids, healths, strict=True)
            ),
        )
        try:
            yield copied
        finally:
            await postgres.execute(copied, f"DROP ROLE {ROLE}")


@pytest.fixture(scope="module")
async def ask(url: str) -> sequelize_stage.Ask:
    return await sequelize_stage.application(url, ROLE)


# --- positions ------------------------------------------------------------------------------


async def test_instance_methods_of_positions(url: str, ask: sequelize_stage.Ask) -> None:
    rows = await postgres.fetch(
        url,
        "SELECT id, health_factor AS h, debt_raw, collateral_raw FROM vesu_positions "
        "WHERE kind <> 'system'",
    )
    expected = {
        "isHealthy": lambda row: row["h"] is None or row["h"] >= 1,
        "isAtRisk": lambda row: row["h"] is not None and 1 <= row["h"] < Decimal("1.2"),
        "isCritical": lambda row: row["h"] is not None and 1 <= row["h"] < Decimal("1.05"),
        "isLiquidatable": lambda row: row["h"] is not None and row["h"] < 1,
        "hasDebt": lambda row: row["debt_raw"] > 0,
        "hasCollateral": lambda row: row["collateral_raw"] > 0,
    }
    pairs = [(row, method) for row in rows for method in expected]
    answers = await ask(*(("VesuPosition", method, [], row["id"]) for row, method in pairs))
    assert sequelize_stage.values(answers) == [expected[method](row) for row, method in pairs]
    for method, rule in expected.items():
        assert {rule(row) for row in rows} == {True, False}, f"{method} has one answer only"


async def test_static_methods_of_positions(url: str, ask: sequelize_stage.Ask) -> None:
    of = "SELECT p.id FROM vesu_positions p WHERE p.kind <> 'system' AND "
    order = " ORDER BY health_factor ASC NULLS LAST, id"
    user = await postgres.value(
        url,
        "SELECT user_id FROM vesu_positions WHERE kind <> 'system' GROUP BY 1 "
        "HAVING count(DISTINCT status) > 1 ORDER BY count(*) DESC LIMIT 1",
    )
    user_uuid = await postgres.value(url, "SELECT wallet_uuid($1)", user)
    answers = sequelize_stage.values(
        await ask(
            ("VesuPosition", "findActivePositions"),
            ("VesuPosition", "findLiquidatablePositions"),
            ("VesuPosition", "findAtRiskPositions"),
            ("VesuPosition", "findUserPositions", [str(user_uuid), "active"]),
            ("VesuPosition", "findUserPositions", [str(user_uuid)]),
        )
    )
    newest = " ORDER BY created_at DESC, id"
    assert [sequelize_stage.ids(rows) for rows in answers] == [
        await sequelize_stage.column(url, f"{of} status = 'active' {order}"),
        await sequelize_stage.column(url, f"{of} status = 'active' AND health_factor < 1 {order}"),
        await sequelize_stage.column(
            url, f"{of} status = 'active' AND health_factor >= 1 AND health_factor < 1.2 {order}"
        ),
        await sequelize_stage.column(
            url, f"{of} user_id = $1 AND status = 'active' {newest}", user
        ),
        await sequelize_stage.column(url, f"{of} user_id = $1 {newest}", user),
    ]
    assert all(answers)
    assert {row["user_id"] for row in answers[3]} == {str(user_uuid)}


# --- pools ----------------------------------------------------------------------------------


async def test_instance_methods_of_pools(url: str, ask: sequelize_stage.Ask) -> None:
    rows = await postgres.fetch(
        url, "SELECT id, total_supply AS s, total_borrow AS b FROM vesu_pools"
    )
    amount = max(row["s"] - row["b"] for row in rows) / 2
    pairs = [
        (row, question)
        for row in rows
        for question in (
            ("getUtilizationRate", []),
            ("getAvailableLiquidity", []),
            ("isHealthy", []),
            ("canBorrow", [str(amount)]),
            ("needsSync", [5]),
            ("needsSync", [10**9]),
        )
    ]
    answers = sequelize_stage.values(
        await ask(*(("VesuPool", *question, row["id"]) for row, question in pairs))
    )
    for (row, (method, args)), found in zip(pairs, answers, strict=True):
        expected: Any = {
            "getUtilizationRate": sequelize_stage.down(row["b"], row["s"]),
            "getAvailableLiquidity": max(row["s"] - row["b"], Decimal(0)),
            "isHealthy": sequelize_stage.down(row["b"], row["s"]) < Decimal("0.95"),
            "canBorrow": amount <= row["s"] - row["b"],
            "needsSync": args == [5],  # the recorded blocks are old
        }[method]
        assert (Decimal(found) if isinstance(expected, Decimal) else found) == expected, method


async def test_static_methods_of_pools(url: str, ask: sequelize_stage.Ask) -> None:
    one = (await postgres.fetch(url, "SELECT * FROM vesu_pools WHERE is_active ORDER BY id"))[0]
    by_address, active, by_pair, stale, fresh, stats = sequelize_stage.values(
        await ask(
            ("VesuPool", "findByAddress", [one["pool_address"]]),
            ("VesuPool", "findActivePools"),
            ("VesuPool", "findByAssetPair", [one["collateral_asset"], one["debt_asset"]]),
            ("VesuPool", "findPoolsNeedingSync", [5]),
            ("VesuPool", "findPoolsNeedingSync", [10**9]),
            ("VesuPool", "getPoolStats"),
        )
    )
    of = "SELECT id FROM vesu_pools WHERE is_active"
    first = "ORDER BY created_at, id LIMIT 1"
    assert [by_address["id"]] == await sequelize_stage.column(
        url, f"SELECT id FROM vesu_pools WHERE pool_address = $1 {first}", one["pool_address"]
    )
    assert sequelize_stage.ids(active) == await sequelize_stage.column(
        url, f"{of} ORDER BY total_supply DESC NULLS LAST, id"
    )
    assert [by_pair["id"]] == await sequelize_stage.column(
        url,
        f"{of} AND (collateral_asset, debt_asset) = ($1, $2) "
        "ORDER BY total_supply DESC NULLS LAST, id LIMIT 1",
        one["collateral_asset"],
        one["debt_asset"],
    )
    assert sequelize_stage.ids(stale) == await sequelize_stage.column(
        url, f"{of} ORDER BY last_synced_at, id"
    )
    assert fresh == []
    told = (
        await postgres.fetch(
            url,
            "SELECT count(*) AS n, sum(total_supply) AS s, sum(total_borrow) AS b, "
            "sum(supply_apy) AS sa, sum(borrow_apy) AS ba, count(supply_apy) AS sn, "
            "count(borrow_apy) AS bn FROM vesu_pools WHERE is_active",
        )
    )[0]
    assert stats["totalPools"] == told["n"]
    assert {name: Decimal(text) for name, text in stats.items() if name != "totalPools"} == {
        "totalSupply": told["s"],
        "totalBorrow": told["b"],
        "avgSupplyApy": sequelize_stage.down(told["sa"], Decimal(told["sn"])),
        "avgBorrowApy": sequelize_stage.down(told["ba"], Decimal(told["bn"])),
        "utilizationRate": sequelize_stage.down(told["b"], told["s"]),
    }


# --- transactions ---------------------------------------------------------------------------


async def test_instance_methods_of_transactions(url: str, ask: sequelize_stage.Ask) -> None:
    rows = await postgres.fetch(
        url, "SELECT DISTINCT ON (type) id, type, status FROM vesu_transactions ORDER BY type, id"
    )
    assert {"supply", "borrow", "repay", "withdraw", "liquidation"} <= {row["type"] for row in rows}
    methods = [
        name for name in sequelize_stage.METHODS["VesuTransaction"].split() if name.startswith("is")
    ]
    pairs = [(row, method) for row in rows for method in methods]
    answers = await ask(*(("VesuTransaction", method, [], row["id"]) for row, method in pairs))
    assert sequelize_stage.values(answers) == [
        method.removeprefix("is").lower() in (row["type"], row["status"]) for row, method in pairs
    ]


async def test_static_methods_of_transactions(url: str, ask: sequelize_stage.Ask) -> None:
    wallet, position, hash_ = (
        await postgres.fetch(
            url,
            "SELECT user_id, position_id, transaction_hash FROM vesu_transactions "
            "WHERE type = 'borrow' ORDER BY block_number DESC, id LIMIT 1",
        )
    )[0]
    user = str(await postgres.value(url, "SELECT wallet_uuid($1)", wallet))
    unpadded = hex(int(hash_, 16)).upper().replace("X", "x")
    middle = await postgres.value(
        url,
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY timestamp) "
        "FROM vesu_transactions WHERE user_id = $1",
        wallet,
    )
    start = middle.astimezone(datetime.UTC).isoformat()
    by_hash, pending, of_user, supplies, few, of_position, stats, later = sequelize_stage.values(
        await ask(
            ("VesuTransaction", "findByHash", [unpadded]),
            ("VesuTransaction", "findPendingTransactions"),
            ("VesuTransaction", "findUserTransactions", [user, None, 1000]),
            ("VesuTransaction", "findUserTransactions", [user, "supply"]),
            ("VesuTransaction", "findUserTransactions", [user, None, 2]),
            ("VesuTransaction", "findPositionTransactions", [str(position)]),
            ("VesuTransaction", "getTransactionStats", [user]),
            ("VesuTransaction", "getTransactionStats", [user, start, "2100-01-01T00:00:00Z"]),
        )
    )
    of = "SELECT id FROM vesu_transactions WHERE"
    newest = "ORDER BY created_at DESC, id"
    assert [by_hash["id"]] == await sequelize_stage.column(
        url, f"{of} transaction_hash = $1 ORDER BY type, id LIMIT 1", hash_
    )
    assert by_hash["block_number"] is not None
    assert pending == []
    mine = await sequelize_stage.column(url, f"{of} user_id = $1 {newest}", wallet)
    assert (sequelize_stage.ids(of_user), sequelize_stage.ids(few)) == (mine, mine[:2])
    assert sequelize_stage.ids(supplies) == await sequelize_stage.column(
        url, f"{of} user_id = $1 AND type = 'supply' {newest} LIMIT 50", wallet
    )
    assert sequelize_stage.ids(of_position) == await sequelize_stage.column(
        url, f"{of} position_id = $1 {newest}", position
    )
    for found, since in ((stats, None), (later, middle)):
        rows = await postgres.fetch(
            url,
            "SELECT type, asset, amount FROM vesu_transactions WHERE user_id = $1 "
            "AND ($2::timestamptz IS NULL OR timestamp >= $2)",
            wallet,
            since,
        )
        assert found["total"] == len(rows) > 0
        types = [row["type"] for row in rows]
        assert found["byType"] == {type_: types.count(type_) for type_ in types}
        assert {asset: Decimal(text) for asset, text in found["volume"].items()} == {
            asset: sum(row["amount"] for row in rows if row["asset"] == asset)
            for asset in {row["asset"] for row in rows}
        }


# --- liquidations ---------------------------------------------------------------------------


async def test_methods_of_liquidations(url: str, ask: sequelize_stage.Ask) -> None:
    rows = await postgres.fetch(url, "SELECT * FROM vesu_liquidations ORDER BY timestamp DESC, id")
    assert len(rows) > 1
    expected = {
        "getLiquidationProfit": lambda row: row["liquidation_bonus"],
        "getTotalCollateralValue": lambda row: row["collateral_seized"],
        "getDebtCovered": lambda row: row["debt_repaid"],
        "getLiquidationRatio": lambda row: sequelize_stage.down(
            row["collateral_seized"], row["debt_repaid"]
        ),
    }
    pairs = [(row, method) for row in rows for method in expected]
    answers = await ask(*(("VesuLiquidation", method, [], row["id"]) for row, method in pairs))
    assert [Decimal(text) for text in sequelize_stage.values(answers)] == [
        expected[method](row) for row, method in pairs
    ]
    one, start = rows[0], rows[len(rows) // 2]["timestamp"].astimezone(datetime.UTC).isoformat()
    by_hash, of_position, by_liquidator, recent, stats, leaders, late = sequelize_stage.values(
        await ask(
            ("VesuLiquidation", "findByHash", [one["transaction_hash"]]),
            ("VesuLiquidation", "findByPosition", [str(one["position_id"])]),
            ("VesuLiquidation", "findByLiquidator", [one["liquidator_address"]]),
            ("VesuLiquidation", "getRecentLiquidations", [3]),
            ("VesuLiquidation", "getLiquidationStats", [start]),
            ("VesuLiquidation", "getLiquidatorLeaderboard"),
            ("VesuLiquidation", "getLiquidatorLeaderboard", ["2100-01-01T00:00:00Z"]),
        )
    )

    def those(name: str) -> list[str]:
        return [str(row["id"]) for row in rows if row[name] == one[name]]

    assert by_hash["id"] == min(those("transaction_hash"))
    assert sequelize_stage.ids(of_position) == those("position_id")
    assert sequelize_stage.ids(by_liquidator) == those("liquidator_address")[:50]
    assert sequelize_stage.ids(recent) == [str(row["id"]) for row in rows[:3]]
    since = [row for row in rows if row["timestamp"].astimezone(datetime.UTC).isoformat() >= start]
    assert stats.pop("liquidators") == len({row["liquidator_address"] for row in since})
    assert {name: Decimal(text) for name, text in stats.items()} == sequelize_stage.sums(since)
    by_address: dict[str, list[asyncpg.Record]] = {}
    for row in rows:
        by_address.setdefault(row["liquidator_address"], []).append(row)
    assert {leader.pop("address"): sequelize_stage.decimals(leader) for leader in leaders} == {
        address: sequelize_stage.sums(held) for address, held in by_address.items()
    }
    assert [Decimal(one["debtRepaid"]) for one in leaders] == sorted(
        (sequelize_stage.sums(held)["debtRepaid"] for held in by_address.values()), reverse=True
    )
    assert late == []


# --- writing --------------------------------------------------------------------------------


async def test_the_application_creates_what_is_its_own(url: str, ask: sequelize_stage.Ask) -> None:
    """A pending transaction, with the guide's later update; pools and positions are refused."""
    row_id = str(uuid.uuid4())
    pending = {
        "id": row_id,
        "user_id": USER,
        "transaction_hash": "0xAbCdEf",
        "type": "borrow",
        "asset": "USDC",
        "amount": 1000,
        "status": "pending",
    }
    confirmed = {
        "status": "confirmed",
        "block_number": 123456,
        "timestamp": "2026-01-01T00:00:00Z",
        "gas_used": 0.001,
    }
    created, updated, reloaded, listed, pool, position, liquidation = await ask(
        ("VesuTransaction", "create", [pending]),
        ("VesuTransaction", "update", [confirmed], row_id),
        ("VesuTransaction", "findByHash", [NEW_HASH]),
        ("VesuTransaction", "findPendingTransactions"),
        ("VesuPool", "create", [{"pool_address": "0x1234"}]),
        ("VesuPosition", "create", [{"pool_address": "0x1234", "user_id": USER}]),
        (
            "VesuLiquidation",
            "create",
            [
                {
                    "position_id": row_id,
                    "liquidator_address": "0x1",
                    "transaction_hash": "0x2",
                    "collateral_seized": 1,
                    "debt_repaid": 1,
                    "liquidation_bonus": 0,
                    "timestamp": "2026-01-01T00:00:00Z",
                }
            ],
        ),
    )
    assert created["value"]["transaction_hash"] == NEW_HASH
    assert "error" not in updated
    row = reloaded["value"]
    # The chain has not confirmed it: that it did is the chain's word alone.
    assert (row["id"], row["status"], row["block_number"]) == (row_id, "pending", None)
    assert sequelize_stage.ids(listed["value"]) == [row_id]
    for refused, table in (
        (pool, "vesu_pools"),
        (position, "vesu_positions"),
        (liquidation, "vesu_liquidations"),
    ):
        assert refused["error"].startswith(
            f"INSERT of {table} refused: its rows are what the chain"
        )
    chain_row = await postgres.value(url, "SELECT min(id::text) FROM vesu_transactions")
    changed, destroyed, given_up, user, gone = await ask(
        ("VesuTransaction", "update", [{"status": "failed"}], chain_row),
        ("VesuTransaction", "destroy", [], chain_row),
        (
            "VesuTransaction",
            "update",
            [{"status": "failed", "error_message": "rejected by the wallet"}],
            row_id,
        ),
        ("VesuUser", "create", [{"user_id": USER, "wallet_address": "0x1"}]),
        ("VesuTransaction", "destroy", [], row_id),
    )
    assert "refused: the chain has it in block" in changed["error"]
    assert "refused: the chain has it in block" in destroyed["error"]
    assert given_up["value"]["error_message"] == "rejected by the wallet"
    assert user["value"]["wallet_address"] == "0x1"
    assert "error" not in gone
    assert await postgres.value(url, "SELECT count(*) FROM vesu_guide.submissions") == 0


def test_every_method_of_the_guide_was_asked() -> None:
    """Stands last: the tests above have noted what they asked."""
    guide = {
        (model, method)
        for model, names in sequelize_stage.METHODS.items()
        for method in names.split()
    }
    assert len(guide) == 43
    assert guide <= sequelize_stage.asked
