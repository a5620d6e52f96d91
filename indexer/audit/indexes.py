"""The index check: is every index that users and queries count on there, and valid?"""

from __future__ import annotations

import asyncpg
import msgspec

from indexer.store import sqlfile

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

EXPECTED: dict[str, tuple[str, ...]] = {
    "vesu_pools": (
        "idx_vesu_pools_address",
        "idx_vesu_pools_asset_pair",
        "idx_vesu_pools_is_active",
        "idx_vesu_pools_last_synced",
    ),
    "vesu_positions": (
        "idx_vesu_positions_user_id",
        "idx_vesu_positions_pool_address",
        "idx_vesu_positions_status",
        "idx_vesu_positions_health_factor",
        "idx_vesu_positions_user_pool",
        "idx_vesu_positions_status_health",
        "idx_vesu_positions_last_updated",
    ),
    "vesu_transactions": (
        "idx_vesu_transactions_user_id",
        "idx_vesu_transactions_position_id",
        "idx_vesu_transactions_hash",
        "idx_vesu_transactions_type",
        "idx_vesu_transactions_status",
        "idx_vesu_transactions_user_type",
        "idx_vesu_transactions_created_at",
        "idx_vesu_transactions_timestamp",
        "idx_vesu_transactions_block",
    ),
    "vesu_liquidations": (
        "idx_vesu_liquidations_position_id",
        "idx_vesu_liquidations_liquidator",
        "idx_vesu_liquidations_hash",
        "idx_vesu_liquidations_timestamp",
        "idx_vesu_liquidations_created_at",
        "idx_vesu_liquidations_block",
    ),
    "events": ("idx_events_transaction_hash",),
    "contract_history": ("idx_contract_history_block",),
    "vesu_pool_history": ("idx_vesu_pool_history_block",),
    "vesu_asset_history": ("idx_vesu_asset_history_block",),
    "vesu_position_history": ("idx_vesu_position_history_block",),
}


class IndexReport(msgspec.Struct, frozen=True):
    """What was found: names as `table.index`."""

    expected: int
    missing: list[str]
    invalid: list[str]

    @property
    def is_good(self) -> bool:
        """Every expected index is there and valid."""
        return not (self.missing or self.invalid)


async def check(connection: Connection) -> IndexReport:
    """Compare the database's indexes with those expected."""
    found = {
        (row["table_name"], row["index_name"]): row["is_valid"]
        for row in await connection.fetch(sqlfile.load("status")["indexes"])
    }
    wanted = [(table, index) for table, indexes in EXPECTED.items() for index in indexes]
    return IndexReport(
        len(wanted),
        [f"{table}.{index}" for table, index in wanted if (table, index) not in found],
        [f"{table}.{index}" for table, index in wanted if found.get((table, index)) is False],
    )
