"""Writing a folded batch: current rows, their history, transactions and liquidations."""

from __future__ import annotations

import functools
from collections.abc import Collection

from indexer.log import facts
from indexer.projections import (
    assets,
    contracts,
    encoded_rows,
    memory,
    mismatches,
    pools,
    positions,
    rows,
    storage,
    tables,
    transactions,
    valuations,
    wallets,
    world,
)
from indexer.store import sqlfile, statement_pipeline
from indexer.vesu import state

_SQL = sqlfile.load(__package__, "writing")


async def write(
    connection: memory.Connection,
    memory_: memory.Memory,
    batch: facts.Batch,
    journal: state.Journal,
    encoded: encoded_rows.EncodedRows,
    valuer: valuations.Valuer,
    append_events: statement_pipeline.Step | None = None,
) -> None:
    """Write all that a fold of `batch` changed, and what `append_events` adds.

    `memory_` is the memory after that fold, and `encoded` its rows.
    """
    # Parents before children: positions refer to pools, transactions to positions.
    async with statement_pipeline.running(connection) as pipeline:
        await _write_contracts(pipeline, memory_, journal)
        await _write_pools(pipeline, memory_, journal)
        await _write_assets(pipeline, memory_, journal)
        await storage.add(pipeline, tables.ASSET_SETTINGS, encoded.settings)
        await pipeline.run(functools.partial(_append, encoded=encoded, append_events=append_events))
        await _write_positions(pipeline, memory_, encoded, valuer)
        await _write_effects(pipeline, memory_, journal, encoded)
        await _write_mismatches(pipeline, memory_, batch, journal)


async def _append(
    connection: memory.Connection,
    encoded: encoded_rows.EncodedRows,
    append_events: statement_pipeline.Step | None,
) -> None:
    if append_events is not None:
        await append_events(connection)
    for table, columns, parts in (
        (tables.POOLS, pools.VERSION, encoded.pool_versions),
        (tables.ASSETS, assets.VERSION, encoded.asset_versions),
        (tables.POSITIONS, positions.VERSION, encoded.position_versions),
    ):
        await storage.append_encoded(connection, table.past, columns, parts)


async def write_prices(
    connection: memory.Connection, memory_: memory.Memory, keys: Collection[state.AssetKey]
) -> None:
    """Write the prices of assets of which samples say something else; nothing else of a row
    follows from samples."""
    if keys:
        columns = zip(*map(memory_.asset_prices, keys), strict=True)
        await connection.execute(_SQL["write_prices"], *map(list, columns))


async def restore(
    connection: memory.Connection,
    memory_: memory.Memory,
    restored: world.Loaded,
    block: valuations.Block,
) -> None:
    """Write rows that a rollback to `block` found in the histories, valued at it."""
    old = restored.world
    async with statement_pipeline.running(connection) as pipeline:
        await storage.upsert(
            pipeline,
            tables.CONTRACTS,
            [contracts.current(address, contract) for address, contract in old.contracts.items()]
            + [contracts.current(key.id, pool) for key, pool in old.pools.items()],
        )
    await memory_.load(connection)
    memory_.world.assets |= old.assets
    memory_.world.pairs |= old.pairs
    await memory_.take_up_samples(connection, block.number)
    valuer = memory_.valuer(block)
    async with statement_pipeline.running(connection) as pipeline:
        await storage.upsert(pipeline, tables.POOLS, map(memory_.pool_row, memory_.world.pairs))
        await storage.upsert(pipeline, tables.ASSETS, map(memory_.asset_row, memory_.world.assets))
        await storage.upsert(
            pipeline,
            tables.POSITIONS,
            (
                positions.by_column(memory_.position_row(key, position, valuer))
                for key, position in old.positions.items()
            ),
        )


async def _write_contracts(
    pipeline: statement_pipeline.StatementPipeline, memory_: memory.Memory, journal: state.Journal
) -> None:
    changed = {address for _, address, _ in journal.contracts}
    await storage.upsert(
        pipeline,
        tables.CONTRACTS,
        [contracts.current(address, memory_.world.contracts[address]) for address in changed]
        + [
            contracts.current(key.id, memory_.world.pools[key])
            for key in {key for _, key, _ in journal.pools}
        ],
    )
    await storage.append(
        pipeline,
        tables.CONTRACTS.past,
        [
            contracts.history(event_key, address, contract)
            for event_key, address, contract in encoded_rows.last_of_each_event(journal.contracts)
        ]
        + [
            contracts.history(event_key, key.id, pool)
            for event_key, key, pool in encoded_rows.last_of_each_event(journal.pools)
        ],
    )


async def _write_pools(
    pipeline: statement_pipeline.StatementPipeline, memory_: memory.Memory, journal: state.Journal
) -> None:
    concerned = _pairs_concerned(memory_.world, journal)
    await storage.upsert(pipeline, tables.POOLS, map(memory_.pool_row, concerned))


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
    pipeline: statement_pipeline.StatementPipeline, memory_: memory.Memory, journal: state.Journal
) -> None:
    changed = {key for _, key, _ in journal.assets}
    await storage.upsert(pipeline, tables.ASSETS, map(memory_.asset_row, changed))


async def _write_positions(
    pipeline: statement_pipeline.StatementPipeline,
    memory_: memory.Memory,
    encoded: encoded_rows.EncodedRows,
    valuer: valuations.Valuer,
) -> None:
    made, changed = encoded.positions, encoded.changed
    if made is None or not made.are_of(memory_.samples):
        made = await encoded_rows.positions_of(memory_, changed, valuer)
    if made is None:
        few = [
            positions.by_column(memory_.position_row(key, position, valuer))
            for key, position in changed.items()
        ]
        await storage.upsert(pipeline, tables.POSITIONS, few)
    else:
        await storage.upsert_encoded(pipeline, tables.POSITIONS, positions.COLUMNS, made.parts)
    holders = {key.user for key, position in changed.items() if position.kind != "system"}
    await pipeline.run(functools.partial(wallets.add, addresses=list(map(rows.padded, holders))))


async def _write_effects(
    pipeline: statement_pipeline.StatementPipeline,
    memory_: memory.Memory,
    journal: state.Journal,
    encoded: encoded_rows.EncodedRows,
) -> None:
    await pipeline.run(
        functools.partial(
            storage.append_encoded,
            table=tables.TRANSACTIONS,
            columns=transactions.TRANSACTION,
            parts=encoded.transactions,
        )
    )
    if not journal.liquidations:
        return
    protocol, named = memory_.protocol, memory_.named
    await storage.append(
        pipeline,
        tables.LIQUIDATIONS,
        [
            transactions.liquidation(
                protocol(effect.position.pool),
                effect,
                encoded.origins[effect.event_key[:2]],
                named(effect.position.pool, effect.position.collateral),
                named(effect.position.pool, effect.position.debt),
            )
            for effect in journal.liquidations
        ],
    )


async def _write_mismatches(
    pipeline: statement_pipeline.StatementPipeline,
    memory_: memory.Memory,
    batch: facts.Batch,
    journal: state.Journal,
) -> None:
    await storage.append(
        pipeline,
        tables.MISMATCHES,
        [
            mismatches.row(
                memory_.protocol(mismatch.asset.pool),
                mismatch,
                batch.timestamps[mismatch.event_key.block_number],
            )
            for mismatch in journal.mismatches
        ],
    )
