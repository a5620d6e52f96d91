"""The state that a batch begins from: of positions what it touches, of everything else all."""

from __future__ import annotations

import msgspec

from indexer.projections import memory, positions, rows, storage, tables
from indexer.store import sqlfile
from indexer.vesu import state

_SQL = sqlfile.load(__package__, "batch_state")


async def before(
    connection: memory.Connection,
    memory_: memory.Memory,
    from_block: int,
    touched: frozenset[state.PositionKey],
) -> state.World:
    """The world before a batch that begins at `from_block` and concerns these positions.

    `memory_` is the memory after the batch before, whose rows the tables may lack.
    """
    world = msgspec.structs.replace(
        memory_.world,
        positions={},
        loaded=touched,
        holders=await _holders(connection, memory_, from_block),
    )
    await _load_positions(connection, memory_, world)
    return world


async def _load_positions(
    connection: memory.Connection, memory_: memory.Memory, world: state.World
) -> None:
    """Add the positions that exist of those in `world.loaded`.

    What the batch before touched is known from its fold, and may not be in the tables yet.
    """
    keys, last = world.loaded or frozenset(), memory_.world
    world.positions |= {key: last.positions[key] for key in keys & last.positions.keys()}
    row_keys = [
        (rows.padded(key.pool.id), rows.position_id(memory_.protocol(key.pool), key))
        for key in keys - last.positions.keys() - (last.loaded or frozenset())
    ]
    if row_keys:
        for row in await storage.load_rows(connection, tables.POSITIONS, row_keys):
            key, position = positions.parse(row)
            world.positions[key] = position


async def _holders(
    connection: memory.Connection, memory_: memory.Memory, from_block: int
) -> frozenset[int]:
    """Those of the newly named addresses that hold positions already."""
    named = memory_.registry.named_since(from_block)
    if not named:
        return frozenset()
    found = await connection.fetch(_SQL["holders"], [rows.padded(holder) for holder in named])
    holding = {int(row["user_id"], 16) for row in found}
    # The batch before may not be in the tables yet.
    holding |= {key.user for key in memory_.world.positions}.intersection(named)
    return frozenset(holding)
