"""Writing a folded batch: current rows, their history, transactions and liquidations."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from indexer.log import facts
from indexer.projections import (
    assets,
    contracts,
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
from indexer.store import copying, sqlfile, statement_pipeline
from indexer.vesu import state

_SQL = sqlfile.load(__package__, "writing")

Key = TypeVar("Key")
Value = TypeVar("Value")

Append = Callable[[statement_pipeline.StatementPipeline], Awaitable[None]]
"""Adds rows of other tables through the same pipeline."""


async def write(
    connection: memory.Connection,
    memory_: memory.Memory,
    batch: facts.Batch,
    journal: state.Journal,
    valuer: valuations.Valuer,
    append_events: Append | None = None,
) -> None:
    """Write all that a fold of `batch` changed, and what `append_events` adds.

    `memory_` is the memory after that fold.
    """
    # Parents before children: positions refer to pools, transactions to positions.
    async with statement_pipeline.running(connection) as pipeline:
        await _write_contracts(pipeline, memory_, journal)
        await _write_pools(pipeline, memory_, journal)
        await _write_assets(pipeline, memory_, journal)
        await _write_positions(pipeline, memory_, journal, valuer)
        await _write_effects(pipeline, memory_, _origins(batch), journal)
        await _write_mismatches(pipeline, memory_, batch, journal)
        if append_events is not None:
            await append_events(pipeline)


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
                memory_.position_row(key, position, valuer)
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
            for event_key, address, contract in last_of_each_event(journal.contracts)
        ]
        + [
            contracts.history(event_key, key.id, pool)
            for event_key, key, pool in last_of_each_event(journal.pools)
        ],
    )


async def _write_pools(
    pipeline: statement_pipeline.StatementPipeline, memory_: memory.Memory, journal: state.Journal
) -> None:
    concerned = _pairs_concerned(memory_.world, journal)
    await storage.upsert(pipeline, tables.POOLS, map(memory_.pool_row, concerned))
    await storage.append_lines(
        pipeline,
        tables.POOLS.past,
        pools.VERSION,
        (
            copying.plain_line(
                pools.version(memory_.protocol(key.pool), event_key, key, pair, memory_.world)
            )
            for event_key, key, pair in last_of_each_event(journal.pairs)
        ),
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
    pipeline: statement_pipeline.StatementPipeline, memory_: memory.Memory, journal: state.Journal
) -> None:
    changed = {key for _, key, _ in journal.assets}
    await storage.upsert(pipeline, tables.ASSETS, map(memory_.asset_row, changed))
    versions = list(last_of_each_event(journal.assets))
    settings = {row["id"]: row for row in (assets.settings(asset) for _, _, asset in versions)}
    await storage.add(pipeline, tables.ASSET_SETTINGS, list(settings.values()))
    await storage.append_lines(
        pipeline,
        tables.ASSETS.past,
        assets.VERSION,
        (
            copying.plain_line(assets.version(memory_.protocol(key.pool), event_key, key, asset))
            for event_key, key, asset in versions
        ),
    )


async def _write_positions(
    pipeline: statement_pipeline.StatementPipeline,
    memory_: memory.Memory,
    journal: state.Journal,
    valuer: valuations.Valuer,
) -> None:
    current = {key: position for _, key, position in journal.positions}
    await storage.upsert(
        pipeline,
        tables.POSITIONS,
        (memory_.position_row(key, position, valuer) for key, position in current.items()),
    )
    holders = (key.user for key, position in current.items() if position.kind != "system")
    await pipeline.run(functools.partial(wallets.add, addresses=list(map(rows.padded, holders))))
    await storage.append_lines(
        pipeline,
        tables.POSITIONS.past,
        positions.VERSION,
        (
            copying.plain_line(
                positions.version(memory_.protocol(key.pool), event_key, key, position)
            )
            for event_key, key, position in last_of_each_event(journal.positions)
        ),
    )


async def _write_effects(
    pipeline: statement_pipeline.StatementPipeline,
    memory_: memory.Memory,
    origins: Mapping[tuple[int, int], transactions.Origin],
    journal: state.Journal,
) -> None:
    # Many effects are of a few pools and assets.
    protocol, named = functools.cache(memory_.protocol), functools.cache(memory_.named)
    await storage.append_lines(
        pipeline,
        tables.TRANSACTIONS,
        transactions.TRANSACTION,
        (
            copying.plain_line(
                transactions.transaction(
                    protocol(effect.position.pool),
                    effect,
                    origins[effect.event_key[:2]],
                    named(effect.position.pool, effect.asset),
                )
            )
            for effect in journal.transactions
        ),
    )
    await storage.append(
        pipeline,
        tables.LIQUIDATIONS,
        [
            transactions.liquidation(
                protocol(effect.position.pool),
                effect,
                origins[effect.event_key[:2]],
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


def last_of_each_event(
    changes: Sequence[tuple[state.EventKey, Key, Value]],
) -> Iterator[tuple[state.EventKey, Key, Value]]:
    """The last change that each event made to a row, in the order of events.

    What is settled at the end of a transaction is noted under an earlier event, and may change a
    row of it again.
    """
    by_event = operator.itemgetter(0)
    for event_key, group in itertools.groupby(sorted(changes, key=by_event), by_event):
        last = {key: value for _, key, value in group}
        for key, value in last.items():
            yield event_key, key, value


def _origins(batch: facts.Batch) -> dict[tuple[int, int], transactions.Origin]:
    """The transactions of a batch, by block number and transaction index."""
    hashes = {
        (raw.block_number, raw.transaction_index): raw.transaction_hash for raw in batch.events
    }
    return {
        key: transactions.Origin(hash_, batch.timestamps[key[0]], batch.fees.get(key))
        for key, hash_ in hashes.items()
    }
