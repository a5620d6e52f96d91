"""One position at a block: exact state from history, worth with interest accrued to then."""

from __future__ import annotations

import datetime

import asyncpg
import msgspec

from indexer import errors
from indexer.projections import assets as asset_rows
from indexer.projections import pools as pool_rows
from indexer.projections import positions as position_rows
from indexer.projections import rows
from indexer.store import sqlfile
from indexer.vesu import accrual, state, valuation

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Block(msgspec.Struct, frozen=True):
    """A stored block. `timestamp` in seconds since 1970."""

    number: int
    hash: str
    timestamp: int


class PositionAt(msgspec.Struct, frozen=True):
    """A position as it was at a block.

    Raw amounts as exact integers in text, amounts in token units, USD values and ratios as
    exact decimals; None where it does not apply or no price was known.
    """

    block_number: int
    block_hash: str
    block_time: datetime.datetime
    pool_id: str
    user_id: str
    kind: str
    status: str
    collateral_address: str
    debt_address: str | None
    v_token: str | None
    collateral_shares: str
    nominal_debt: str
    vtoken_balance_raw: str
    collateral_raw: str
    debt_raw: str
    collateral_amount: str
    debt_amount: str
    collateral_value_usd: str | None
    debt_value_usd: str | None
    ltv: str | None
    health_factor: str | None
    liquidation_price: str | None


async def block_at(connection: Connection, number: int | None) -> Block:
    """The highest stored block up to `number` (None: the committed one).

    Blocks without an event of ours that were read far behind the head are not stored; the
    state is the same as at the stored block below them.
    """
    row = await connection.fetchrow(sqlfile.load("point_in_time")["block"], number)
    if row is None:
        raise errors.ConfigError(
            "no block is committed yet"
            if number is None
            else f"block {number} is before the first block of this database"
        )
    committed = row["committed"]
    if number is not None and number > committed:
        raise errors.ConfigError(f"block {number} is above the committed block {committed}")
    return Block(row["number"], row["hash"], int(row["timestamp"].timestamp()))


async def at_block(
    connection: Connection, key: state.PositionKey, number: int | None = None
) -> PositionAt | None:
    """A position at a block; None where it did not exist yet."""
    block = await block_at(connection, number)
    found = await state_at(connection, key, block.number)
    if found is None:
        return None
    position, world = found
    return _answer(key, position, block, value_at(key, position, world, block.timestamp), world)


async def state_at(
    connection: Connection, key: state.PositionKey, number: int
) -> tuple[state.PositionState, state.World] | None:
    """A position's exact state at a block, with the assets and the pair that it stands in."""
    statements = sqlfile.load("point_in_time")
    row = await connection.fetchrow(
        statements["position"], rows.padded(key.pool.id), rows.position_id("v2", key), number
    )
    if row is None:
        return None
    world = state.World()
    touched = [rows.padded(asset) for asset in (key.collateral, key.debt) if asset]
    for found in await connection.fetch(
        statements["assets"], rows.padded(key.pool.id), touched, number
    ):
        asset_key, asset = asset_rows.parse(found)
        world.assets[asset_key] = asset
    pair_key = state.PairKey(key.pool, key.collateral, key.debt)
    for found in await connection.fetch(
        statements["pair"], rows.padded(key.pool.id), rows.pair_id("v2", pair_key), number
    ):
        world.pairs[pair_key] = pool_rows.parse(found)[1]
    return position_rows.parse(row)[1], world


def value_at(
    key: state.PositionKey, position: state.PositionState, world: state.World, now: int
) -> valuation.Valuation:
    """What a position is worth at time `now`, with the prices that the state knows."""
    collateral = world.assets.get(state.AssetKey(key.pool, key.collateral), accrual.AssetState())
    debt = world.assets.get(state.AssetKey(key.pool, key.debt), accrual.AssetState())
    pair = world.pairs.get(state.PairKey(key.pool, key.collateral, key.debt))
    return valuation.value(
        position,
        accrual.accrue(collateral, now),
        None if key.v_token else accrual.accrue(debt, now),
        pair.max_ltv if pair else 0,
    )


def _answer(
    key: state.PositionKey,
    position: state.PositionState,
    block: Block,
    worth: valuation.Valuation,
    world: state.World,
) -> PositionAt:
    def decimals(asset: int) -> int:
        found = world.assets.get(state.AssetKey(key.pool, asset))
        return rows.decimals_of(found.scale) if found else 0

    return PositionAt(
        block_number=block.number,
        block_hash=block.hash,
        block_time=datetime.datetime.fromtimestamp(block.timestamp, datetime.UTC),
        pool_id=rows.padded(key.pool.id),
        user_id=rows.padded(key.user),
        kind=position.kind,
        status=position.status,
        collateral_address=rows.padded(key.collateral),
        debt_address=rows.padded_or_none(key.debt),
        v_token=rows.padded_or_none(key.v_token),
        collateral_shares=str(position.collateral_shares),
        nominal_debt=str(position.nominal_debt),
        vtoken_balance_raw=str(position.vtoken_balance),
        collateral_raw=str(worth.collateral),
        debt_raw=str(worth.debt),
        collateral_amount=rows.units(worth.collateral, decimals(key.collateral)),
        debt_amount=rows.units(worth.debt, decimals(key.debt)),
        collateral_value_usd=rows.scaled(worth.collateral_usd),
        debt_value_usd=rows.scaled(worth.debt_usd),
        ltv=rows.scaled(worth.ltv),
        health_factor=rows.scaled(worth.health_factor),
        liquidation_price=rows.scaled(worth.liquidation_price),
    )
