"""Writing a folded batch: current rows, their history, transactions and liquidations."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from indexer.log import facts
from indexer.projections import (
    assets,
    contracts,
    memory,
    mismatches,
    pools,
    positions,
    rows,
    transactions,
)
from indexer.store import sqlfile
from indexer.vesu import state

_SQL = sqlfile.load(__package__, "positions")

VALUED_AT_ONCE = 5_000


async def put(
    connection: memory.Connection, table: str, statement: str, records: Sequence[dict[str, Any]]
) -> None:
    """Write rows by a named statement that takes them as one JSON document."""
    if records:
        await connection.execute(
            sqlfile.load(__package__, table)[statement], rows.encode(records).decode()
        )


async def append(
    connection: memory.Connection, table: str, records: Sequence[dict[str, Any]]
) -> None:
    """Add rows, all with the same columns, to a table that nothing but time adds to."""
    # COPY takes the server a third of the time that rows in JSON take it.
    if records:
        await connection.copy_to_table(
            table, source=io.BytesIO(rows.copied(records)), columns=list(records[0]), format="text"
        )


async def write(
    connection: memory.Connection,
    held: memory.Memory,
    batch: facts.Batch,
    journal: state.Journal,
) -> None:
    """Write all that a fold of `batch` changed; `held` is the memory after that fold."""
    # Parents before children: positions refer to pools, transactions to positions.
    await _write_contracts(connection, held, journal)
    await _write_pools(connection, held, journal)
    await _write_assets(connection, held, journal)
    await _write_positions(connection, held, journal)
    await _write_effects(connection, held, _origins(batch), journal)
    await _write_mismatches(connection, held, batch, journal)
    held.stale |= {key for _, key, _ in journal.assets}


async def revalue(connection: memory.Connection, held: memory.Memory) -> bool:
    """Bring the worth of positions up to date whose markets changed since the last time.

    Returns whether there were any. Needs the caller's transaction; memory does not grow with
    the number of positions.
    """
    if not held.stale:
        return False
    has_valued = False
    markets = held.stale_markets()
    found = await connection.cursor(
        _SQL["load_of_assets"],
        [rows.padded(key.pool.id) for key in markets],
        [rows.padded(key.pool.address) for key in markets],
        [rows.padded(key.asset) for key in markets],
    )
    while part := await found.fetch(VALUED_AT_ONCE):
        valued = [held.position_row(*positions.parse(row)) for row in part]
        await put(connection, "positions", "upsert", valued)
        has_valued = True
    held.stale.clear()
    return has_valued


async def _write_contracts(
    connection: memory.Connection, held: memory.Memory, journal: state.Journal
) -> None:
    changed = {address for _, address, _ in journal.contracts}
    await put(
        connection,
        "contracts",
        "upsert",
        [contracts.current(address, held.world.contracts[address]) for address in changed]
        + [
            contracts.current(key.id, held.world.pools[key])
            for key in {key for _, key, _ in journal.pools}
        ],
    )
    versions = {(at, address): contract for at, address, contract in journal.contracts}
    pools_then = {(at, key): pool for at, key, pool in journal.pools}
    await append(
        connection,
        "contract_history",
        [contracts.history(at, address, contract) for (at, address), contract in versions.items()]
        + [contracts.history(at, key.id, pool) for (at, key), pool in pools_then.items()],
    )


async def _write_pools(
    connection: memory.Connection, held: memory.Memory, journal: state.Journal
) -> None:
    concerned = _pairs_concerned(held.world, journal)
    await put(connection, "pools", "upsert", [held.pool_row(key) for key in concerned])
    versions = {(at, key): pair for at, key, pair in journal.pairs}
    await append(
        connection,
        "vesu_pool_history",
        [
            pools.history(held.protocol(key.pool), at, key, pair, held.world)
            for (at, key), pair in versions.items()
        ],
    )


def _pairs_concerned(world: state.World, journal: state.Journal) -> list[state.PairKey]:
    """Pairs that changed, or whose pool or markets changed."""
    changed = {key for _, key, _ in journal.pairs}
    settings = {address for _, address, _ in journal.contracts}
    inner = {key for _, key, _ in journal.pools}
    markets = {key for _, key, _ in journal.assets}
    return [
        key
        for key in world.pairs
        if key in changed
        or key.pool.address in settings
        or key.pool in inner
        or state.AssetKey(key.pool, key.collateral) in markets
        or state.AssetKey(key.pool, key.debt) in markets
    ]


async def _write_assets(
    connection: memory.Connection, held: memory.Memory, journal: state.Journal
) -> None:
    changed = {key for _, key, _ in journal.assets}
    await put(connection, "assets", "upsert", [held.asset_row(key) for key in changed])
    versions = {(at, key): asset for at, key, asset in journal.assets}
    await append(
        connection,
        "vesu_asset_history",
        [
            assets.history(held.protocol(key.pool), at, key, asset)
            for (at, key), asset in versions.items()
        ],
    )


async def _write_positions(
    connection: memory.Connection, held: memory.Memory, journal: state.Journal
) -> None:
    changed = {key for _, key, _ in journal.positions}
    await put(
        connection,
        "positions",
        "upsert",
        [held.position_row(key, held.world.positions[key]) for key in changed],
    )
    versions = {(at, key): position for at, key, position in journal.positions}
    await append(
        connection,
        "vesu_position_history",
        [
            positions.history(held.protocol(key.pool), at, key, position)
            for (at, key), position in versions.items()
        ],
    )


async def _write_effects(
    connection: memory.Connection,
    held: memory.Memory,
    origins: dict[state.EventKey, transactions.Origin],
    journal: state.Journal,
) -> None:
    await append(
        connection,
        "vesu_transactions",
        [
            transactions.transaction(
                held.protocol(effect.position.pool),
                effect,
                origins[effect.at],
                held.named(effect.position.pool, effect.asset),
            )
            for effect in journal.transactions
        ],
    )
    await append(
        connection,
        "vesu_liquidations",
        [
            transactions.liquidation(
                held.protocol(effect.position.pool),
                effect,
                origins[effect.at],
                held.named(effect.position.pool, effect.position.collateral),
                held.named(effect.position.pool, effect.position.debt),
            )
            for effect in journal.liquidations
        ],
    )


async def _write_mismatches(
    connection: memory.Connection,
    held: memory.Memory,
    batch: facts.Batch,
    journal: state.Journal,
) -> None:
    await append(
        connection,
        "accrual_mismatches",
        [
            mismatches.row(
                held.protocol(one.asset.pool), one, batch.timestamps[one.at.block_number]
            )
            for one in journal.mismatches
        ],
    )


def _origins(batch: facts.Batch) -> dict[state.EventKey, transactions.Origin]:
    return {
        state.EventKey(
            raw.block_number, raw.transaction_index, raw.event_index
        ): transactions.Origin(
            raw.transaction_hash,
            batch.timestamps[raw.block_number],
            batch.fees.get((raw.block_number, raw.transaction_index)),
        )
        for raw in batch.events
    }
