"""The schema vesu_guide over indexed recordings: what it shows is what the tables hold."""

from __future__ import annotations

import uuid

import asyncpg

from indexer.projections import rows
from tests import postgres
from tests.acceptance import stage, tables_v1, truth

USER = uuid.UUID("11111111-2222-4333-8444-555555555555")

# (column of the guide, column of the table)
SAME = {
    "vesu_pools": "id pool_address collateral_asset debt_asset max_ltv liquidation_threshold "
    "liquidation_bonus total_supply total_borrow supply_apy borrow_apy is_active "
    "last_synced=last_synced_at created_at updated_at=last_synced_at",
    "vesu_positions": "id user_address=user_id pool_address collateral_asset debt_asset "
    "collateral_amount debt_amount vtoken_balance health_factor status last_updated created_at "
    "updated_at=valued_at kind pool_id",
    "vesu_transactions": "id position_id user_address=user_id transaction_hash type asset amount "
    "status block_number timestamp gas_used error_message created_at updated_at=created_at",
    "vesu_liquidations": "id position_id user_address=user_id liquidator_address transaction_hash "
    "collateral_seized debt_repaid liquidation_bonus timestamp created_at updated_at=created_at",
}


async def differences(url: str) -> dict[str, int]:
    """By table, how many rows the guide's view has that the table has not, or the other way."""
    found = {}
    for table, columns in SAME.items():
        pairs = [(name.split("=") * 2)[:2] for name in columns.split()]
        shown = ", ".join(pair[0] for pair in pairs)
        held = ", ".join(pair[1] for pair in pairs)
        people = "WHERE kind <> 'system'" if table == "vesu_positions" else ""
        view, ours = (
            f"SELECT {shown} FROM vesu_guide.{table}",
            f"SELECT {held} FROM {table} {people}",
        )
        found[table] = await postgres.value(
            url,
            f"SELECT count(*) FROM (({view} EXCEPT ALL {ours}) UNION ALL "
            f"({ours} EXCEPT ALL {view})) AS d",
        )
    return found


async def test_the_views_show_what_the_tables_hold(indexed_url: str) -> None:
    assert await differences(indexed_url) == dict.fromkeys(SAME, 0)
    shown = "SELECT count(*) FROM vesu_guide.vesu_transactions"
    assert await postgres.value(indexed_url, shown) > 0


async def test_the_same_of_earlier_generations(indexed_v1: tables_v1.Indexed) -> None:
    assert await differences(indexed_v1.url) == dict.fromkeys(SAME, 0)


async def test_every_wallet_has_the_user_that_its_address_makes(
    indexed: asyncpg.Connection,
) -> None:
    found = await indexed.fetch(
        "SELECT user_address, user_id FROM vesu_guide.vesu_positions "
        "UNION SELECT user_address, user_id FROM vesu_guide.vesu_transactions"
    )
    assert len(found) > 5
    for row in found:
        assert row["user_id"] == uuid.uuid5(rows.NAMESPACE, row["user_address"])


async def test_what_the_application_wrote_is_backed_up(
    indexed_copy: str, recorded: truth.Recorded, empty_database_url: str, tmp_path: object
) -> None:
    wallet = await postgres.value(indexed_copy, "SELECT min(wallet_address) FROM wallets")
    await postgres.execute(
        indexed_copy,
        f"INSERT INTO vesu_guide.users VALUES ('{USER}', '{wallet}')",
        "INSERT INTO vesu_guide.vesu_transactions "
        "(user_id, transaction_hash, type, asset, amount) "
        f"VALUES ('{USER}', '0x5', 'supply', 'ETH', 3)",
    )
    file = f"{tmp_path}/vesu.dump"
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_copy)
    await stage.command(environ, "backup", file)
    environ["DATABASE_URL"] = empty_database_url
    await stage.command(environ, "restore", file)
    tables = [f"vesu_guide.{name}" for name in (*SAME, "users", "submissions")]
    kept = await postgres.lines(empty_database_url, *tables, "watches", "wallets")
    assert kept == await postgres.lines(indexed_copy, *tables, "watches", "wallets")
    assert await postgres.value(
        empty_database_url, "SELECT has_table_privilege('public', 'vesu_guide.users', 'INSERT')"
    )
    await stage.command(environ, "restore", file, "--force")
    assert kept == await postgres.lines(empty_database_url, *tables, "watches", "wallets")
