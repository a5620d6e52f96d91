"""Writing a folded batch: current rows, their history, transactions and liquidations."""

from __future__ import annotations

from indexer.log import facts
from indexer.projections import (
    assets,
    contracts,
    memory,
    mismatches,
    pools,
    positions,
    storage,
    tables,
    transactions,
    valuations,
    wallets,
    world,
)
from indexer.vesu import state


async def write(
    connection: memory.Connection,
    held: memory.Memory,
    batch: facts.Batch,
    journal: state.Journal,
    valuer: valuations.Valuer,
) -> None:
    """Write all that a fold of `batch` changed; `held` is the memory after that fold."""
    # Parents before children: positions refer to pools, transactions to positions.
    await _write_contracts(connection, held, journal)
    await _write_pools(connection, held, journal)
    await _write_assets(connection, held, journal)
    await _write_positions(connection, held, journal, valuer)
    await _write_effects(connection, held, _origins(batch), journal)
    await _write_mismatches(connection, held, batch, journal)


async def restore(
    connection: memory.Connection,
    held: memory.Memory,
    restored: world.Loaded,
    block: valuations.Block,
) -> None:
    """Write rows that a rollback to `block` found in the histories, valued at it."""
    old = restored.world
    await storage.upsert(
        connection,
        tables.CONTRACTS,
        [contracts.current(address, contract) for address, contract in old.contracts.items()]
        + [contracts.current(key.id, pool) for key, pool in old.pools.items()],
    )
    await held.load(connection)
    held.world.assets |= old.assets
    held.world.pairs |= old.pairs
    valuer = valuations.Valuer(held.world, block)
    await storage.upsert(connection, tables.POOLS, [held.pool_row(key) for key in held.world.pairs])
    await storage.upsert(connection, tables.ASSETS, [held.asset_row(key) for key in old.assets])
    await storage.upsert(
        connection,
        tables.POSITIONS,
        [held.position_row(key, position, valuer) for key, position in old.positions.items()],
    )


async def _write_contracts(
    connection: memory.Connection, held: memory.Memory, journal: state.Journal
) -> None:
    changed = {address for _, address, _ in journal.contracts}
    await storage.upsert(
        connection,
        tables.CONTRACTS,
        [contracts.current(address, held.world.contracts[address]) for address in changed]
        + [
            contracts.current(key.id, held.world.pools[key])
            for key in {key for _, key, _ in journal.pools}
        ],
    )
    versions = {(at, address): contract for at, address, contract in journal.contracts}
    pools_then = {(at, key): pool for at, key, pool in journal.pools}
    await storage.append(
        connection,
        tables.CONTRACTS.past,
        [contracts.history(at, address, contract) for (at, address), contract in versions.items()]
        + [contracts.history(at, key.id, pool) for (at, key), pool in pools_then.items()],
    )


async def _write_pools(
    connection: memory.Connection, held: memory.Memory, journal: state.Journal
) -> None:
    concerned = _pairs_concerned(held.world, journal)
    await storage.upsert(connection, tables.POOLS, [held.pool_row(key) for key in concerned])
    versions = {(at, key): pair for at, key, pair in journal.pairs}
    await storage.append(
        connection,
        tables.POOLS.past,
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
    await storage.upsert(connection, tables.ASSETS, [held.asset_row(key) for key in changed])
    versions = {(at, key): asset for at, key, asset in journal.assets}
    await storage.append(
        connection,
        tables.ASSETS.past,
        [
            assets.history(held.protocol(key.pool), at, key, asset)
            for (at, key), asset in versions.items()
        ],
    )


async def _write_positions(
    connection: memory.Connection,
    held: memory.Memory,
    journal: state.Journal,
    valuer: valuations.Valuer,
) -> None:
    changed = {key for _, key, _ in journal.positions}
    current = [held.position_row(key, held.world.positions[key], valuer) for key in changed]
    await storage.upsert(connection, tables.POSITIONS, current)
    await wallets.add(connection, (row["user_id"] for row in current if row["kind"] != "system"))
    versions = {(at, key): position for at, key, position in journal.positions}
    await storage.append(
        connection,
        tables.POSITIONS.past,
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
    await storage.append(
        connection,
        tables.TRANSACTIONS,
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
    await storage.append(
        connection,
        tables.LIQUIDATIONS,
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
    await storage.append(
        connection,
        tables.MISMATCHES,
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
