"""The index check: is every index that users and queries count on there, and valid?"""

from __future__ import annotations

import re

import asyncpg
import msgspec

from indexer.store import migrate, sqlfile

_SQL = sqlfile.load(__package__, "indexes")

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
    "blocks": ("idx_blocks_timestamp",),
    "events": ("idx_events_transaction_hash", "idx_events_undecoded"),
    "observations": ("idx_observations_view",),
    "contract_history": ("idx_contract_history_block",),
    "vesu_pool_history": ("idx_vesu_pool_history_block",),
    "vesu_asset_history": ("idx_vesu_asset_history_block",),
    "vesu_position_history": ("idx_vesu_position_history_block",),
}


class IndexReport(msgspec.Struct, frozen=True):
    """What was found: names as `table.index`, and the statements that put it right."""

    expected: int
    missing: list[str]
    invalid: list[str]
    remedies: list[str]

    @property
    def is_good(self) -> bool:
        """Every expected index is there and valid."""
        return not (self.missing or self.invalid)


async def check(connection: Connection) -> IndexReport:
    """Compare the database's indexes with those expected."""
    found = {
        (row["table_name"], row["index_name"]): row["is_valid"]
        for row in await connection.fetch(_SQL["indexes"])
    }
    wanted = [(table, index) for table, indexes in EXPECTED.items() for index in indexes]
    missing = [one for one in wanted if one not in found]
    invalid = [one for one in wanted if found.get(one) is False]
    made_by = _statements() if missing else {}
    return IndexReport(
        len(wanted),
        [f"{table}.{index}" for table, index in missing],
        [f"{table}.{index}" for table, index in invalid],
        [made_by[index] for _, index in missing]
        + [f"REINDEX INDEX {index};" for _, index in invalid],
    )


def promised() -> set[str]:
    """The names of all indexes that are the indexer's own: those expected, those it makes."""
    return {index for names in EXPECTED.values() for index in names} | set(_statements())


def _statements() -> dict[str, str]:
    """The statement of the migrations that makes each index, on one line."""
    text = "".join(
        path.read_text("utf-8")
        for path in sorted(migrate.folder().glob("*.sql"))
        if not path.stem.endswith(".rollback")
    )
    return {
        found[1]: " ".join(found[0].split())
        for found in re.finditer(r"CREATE INDEX (\w+)[^;]*;", text)
    }
