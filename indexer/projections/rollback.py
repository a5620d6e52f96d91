"""Rollback: restores all tables to their state at a block, for reorganisations and replays."""

from __future__ import annotations

from indexer.projections import memory, storage, tables, valuations, world, writing


async def rollback(
    connection: memory.Connection, memory_: memory.Memory, block: valuations.Block
) -> int:
    """Restore all tables to their state at a block; returns the number of rows restored.

    Deletes what was appended above it and restores each touched row's latest version; nothing
    is ever un-added. Memory is read anew at the end.
    """
    for table in tables.EFFECTS:
        await storage.drop_appended(connection, table, block.number)
    touched = {
        table.name: await storage.drop_versions(connection, table, block.number)
        for table in tables.CURRENT
    }
    restored = world.Loaded.empty()
    for table in tables.CURRENT:
        restored.add(
            table, await storage.versions(connection, table, touched[table.name], block.number)
        )
    # Children before parents where rows vanish, parents before children where they return.
    for table in reversed(tables.CURRENT):
        gone = touched[table.name] - restored.keys_of(table)
        await storage.delete_rows(connection, table, gone)
    await writing.restore(connection, memory_, restored, block)
    await memory_.load(connection)
    return len(restored.rows)
