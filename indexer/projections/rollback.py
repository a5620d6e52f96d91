"""Taking back: all tables made what they were at a block, for reorganisations and replays."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from indexer.projections import assets, contracts, memory, pools, positions, rows, writing
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "contracts")


async def rollback(connection: memory.Connection, held: memory.Memory, to_block: int) -> int:
    """Make all tables what they were at `to_block`; returns the number of rows restored.

    Drops what was appended above it and restores each touched row's latest version; nothing
    is ever un-added. Memory is read anew at the end.
    """
    for table in ("transactions", "liquidations", "mismatches"):
        await connection.execute(sqlfile.load(__package__, table)["drop"], to_block)
    restored = await _restore_contracts(connection, to_block)
    touched = {
        table: await connection.fetch(sqlfile.load(__package__, table)["drop_history"], to_block)
        for table in ("positions", "pools", "assets")
    }
    # Children before parents where rows vanish, parents before children where they return.
    versions = {table: await _latest(connection, table, touched[table]) for table in touched}
    for table in ("positions", "pools", "assets"):
        await _delete_gone(connection, table, touched[table], versions[table])
    await _restore(connection, held, versions)
    await held.load(connection)
    return restored + sum(len(found) for found in versions.values())


async def _restore_contracts(connection: memory.Connection, to_block: int) -> int:
    dropped = await connection.fetch(_SQL["drop_history"], to_block)
    touched = {(row["address"], row["kind"]) for row in dropped}
    found = [
        contracts.parse(row)
        for row in await connection.fetch(
            _SQL["latest"], [key[0] for key in touched], [key[1] for key in touched]
        )
    ]
    gone = touched - {(rows.padded(address), contract.kind.value) for address, contract in found}
    await connection.execute(_SQL["delete"], [key[0] for key in gone], [key[1] for key in gone])
    await writing.put(
        connection,
        "contracts",
        "upsert",
        [contracts.current(address, contract) for address, contract in found],
    )
    return len(found)


async def _restore(
    connection: memory.Connection, held: memory.Memory, versions: dict[str, list[asyncpg.Record]]
) -> None:
    await held.load(connection)
    restored_assets = dict(assets.parse(row) for row in versions["assets"])
    held.world.assets |= restored_assets
    held.world.pairs |= dict(pools.parse(row) for row in versions["pools"])
    await writing.put(
        connection, "assets", "upsert", [held.asset_row(key) for key in restored_assets]
    )
    await writing.put(
        connection, "pools", "upsert", [held.pool_row(key) for key in held.world.pairs]
    )
    await writing.put(
        connection,
        "positions",
        "upsert",
        [held.position_row(*positions.parse(row)) for row in versions["positions"]],
    )


async def _latest(
    connection: memory.Connection, table: str, touched: Sequence[asyncpg.Record]
) -> list[asyncpg.Record]:
    keys = {(row["pool_id"], row["id"]) for row in touched}
    return list(
        await connection.fetch(
            sqlfile.load(__package__, table)["latest"],
            [key[0] for key in keys],
            [key[1] for key in keys],
        )
    )


async def _delete_gone(
    connection: memory.Connection,
    table: str,
    touched: Sequence[asyncpg.Record],
    kept: Sequence[asyncpg.Record],
) -> None:
    gone = {(row["pool_id"], row["id"]) for row in touched} - {
        (row["pool_id"], row["id"]) for row in kept
    }
    await connection.execute(
        sqlfile.load(__package__, table)["delete"],
        [key[0] for key in gone],
        [key[1] for key in gone],
    )
