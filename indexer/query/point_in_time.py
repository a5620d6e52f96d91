"""The state at a moment: at a block, at a time, or at the committed block.

Exact state comes from the histories, interest is accrued to the moment with the contract's own
formulas, and rows are made by the projections that fill the tables: an answer about the past
has the columns of vesu_positions, vesu_assets and vesu_pools under the same names.

In every answer raw amounts are exact integers in text, amounts in token units, USD values and
ratios exact decimals in text; None where it does not apply or no price was known.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import functools
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any

import asyncpg
import msgspec

from indexer import errors
from indexer.projections import (
    assets,
    contract_classes,
    listed_pools,
    pools,
    positions,
    rows,
    samples,
    tokens,
    valuations,
)
from indexer.projections import world as worlds
from indexer.query import kinds
from indexer.store import sqlfile
from indexer.vesu import accrual, maths, permissions, state
from indexer.vesu.v1 import shutdown

_SQL = sqlfile.load(__package__, "point_in_time")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

When = int | datetime.datetime | None
"""A block number, a time (without a zone: UTC), or None: the committed block."""

EXACT = decimal.Context(prec=1_000)
"""Sums of decimals without rounding; Python's own context keeps 28 digits."""


class Moment(msgspec.Struct, frozen=True):
    """The block whose state an answer holds, and the time that interest is accrued to.

    `valued_at` is the block's own time, or the time that was asked for.
    """

    block_number: kinds.Block
    block_hash: kinds.Felt
    block_time: datetime.datetime
    valued_at: datetime.datetime

    @property
    def now(self) -> int:
        """`valued_at` in seconds since 1970."""
        return int(self.valued_at.timestamp())

    @property
    def parts(self) -> tuple[int, str, datetime.datetime, datetime.datetime]:
        """These four fields, as the answers that extend them begin."""
        return self.block_number, self.block_hash, self.block_time, self.valued_at


@contextlib.asynccontextmanager
async def steady(connection: Connection) -> AsyncIterator[None]:
    """Run all questions inside on one snapshot: the caller's transaction, or a new one."""
    if connection.is_in_transaction():
        yield
    else:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield


async def moment(connection: Connection, at: When = None) -> Moment:
    """The moment that `at` means; NotFoundError where this database does not hold it.

    Blocks without an event of ours that were read far behind the head are not stored; the
    state is the same as at the stored block below them, which the answer names. A time after
    the committed block means that block's state with interest accrued to that time.
    """
    if not isinstance(at, datetime.datetime):
        found = await _block(connection, at)
        return Moment(found["number"], found["hash"], found["timestamp"], found["timestamp"])
    time = at.replace(tzinfo=at.tzinfo or datetime.UTC, microsecond=0).astimezone(datetime.UTC)
    row = await connection.fetchrow(_SQL["block_by_time"], time)
    if row is None:
        await _block(connection, None)
        raise errors.NotFoundError(
            f"{time:%F %T} UTC is before the first block of this database", parameter="at_time"
        )
    return Moment(row["number"], row["hash"], row["timestamp"], time)


async def _block(connection: Connection, number: int | None) -> asyncpg.Record:
    row = await connection.fetchrow(_SQL["block"], number)
    if row is None and number is None:
        raise errors.NothingCommittedError(
            "no block is committed yet: start `vesu-indexer run` first"
        )
    if row is None:
        await _block(connection, None)
        raise errors.NotFoundError(
            f"block {number} is before the first block of this database", parameter="at_block"
        )
    if number is not None and number > row["committed"]:
        raise errors.NotCommittedError(
            f"block {number} is above the committed block {row['committed']}", parameter="at_block"
        )
    return row


def time_of(seconds: int | None) -> datetime.datetime | None:
    """A time of the state, in seconds since 1970, as answers have it."""
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def price_age(moment: Moment, seconds: int | None) -> int | None:
    """How old a price of a time is at a moment, in seconds; None without one."""
    return None if seconds is None else moment.now - seconds


def is_stale(
    moment: Moment, priced_at: datetime.datetime | None, max_price_age: int | None
) -> bool | None:
    """Whether a price is older at a moment than a question allows; None: no price, or any age."""
    if priced_at is None or max_price_age is None:
        return None
    return (moment.valued_at - priced_at).total_seconds() > max_price_age


class Snapshot:
    """Contracts, assets and pairs at a moment, every asset accrued to it; makes the rows.

    `world` may be edited, as a what-if does that asks for other prices.
    """

    def __init__(self, moment: Moment, max_price_age: int | None = None) -> None:
        self.moment = moment
        self.max_price_age = max_price_age
        self.world = state.World()
        self._tokens: dict[int, tokens.Token] = {}
        self._protocols: dict[state.PoolKey, str] = {}
        self._listed = listed_pools.EVERY
        self._unknown: contract_classes.Unknown = {}

    async def load(
        self,
        connection: Connection,
        pool_ids: Collection[int] | None,
        sampling: int = samples.EVERY,
    ) -> None:
        """Read the assets and pairs of these pools (None: of all), and all contracts.

        Prices are the newest up to the block, told or sampled, of samplings up to a number.
        """
        ids = None if pool_ids is None else [rows.padded(pool_id) for pool_id in pool_ids]
        loaded = await worlds.at_block(connection, self.moment.block_number, ids)
        sampled = await samples.newest(
            connection, loaded.asset_ids, self.moment.block_number, sampling
        )
        self.world = samples.over(loaded.world, sampled)
        self._listed = await listed_pools.read(connection)
        self._unknown = await contract_classes.read_unknown(connection)
        for key, asset in self.world.assets.items():
            # Where the contract's arithmetic overflows the asset stays as it was written, and what
            # is worked out from it says so: one stranger's rate model fails no other's answer.
            with contextlib.suppress(maths.RevertedError):
                self.world.assets[key] = accrual.accrue(asset, self.moment.now)
        self._protocols = {
            key.pool: row["protocol"]
            for key, row in loaded.rows.items()
            if isinstance(key, state.AssetKey | state.PairKey)
        }
        for row in await connection.fetch(_SQL["tokens"], ids):
            self._tokens[int(row["asset_address"], 16)] = tokens.Token(
                row["symbol"], row["name"], row["decimals"]
            )

    @property
    def _block(self) -> valuations.Block:
        return valuations.Block(self.moment.block_number, self.moment.now)

    def pool_name(self, pool: state.PoolKey) -> str | None:
        """The name of a pool; None where it is unknown."""
        contract = self.world.pools.get(pool) or self.world.contracts.get(pool.address)
        return contract.name if contract else None

    def protocol(self, pool: state.PoolKey) -> str:
        """The generation of a pool that is loaded."""
        return self._protocols[pool]

    def symbol(self, asset: str) -> str | None:
        """The symbol of the asset at an address; None where it is unknown."""
        return self._tokens.get(int(asset, 16), tokens.UNKNOWN).symbol

    def is_listed(self, pool: state.PoolKey) -> bool:
        """Whether sums count the pool."""
        return self._listed.has(rows.padded(pool.id))

    def asset_row(self, key: state.AssetKey) -> dict[str, Any]:
        """A row of vesu_assets at the moment, with the market's totals."""
        asset = self.world.assets[key]
        token = self._tokens.get(key.asset, tokens.UNKNOWN)
        age = self._price_age(time_of(asset.price_timestamp))
        is_listed = self.is_listed(key.pool)
        row = assets.current(self._protocols[key.pool], key, asset, token, is_listed=is_listed)
        return row | assets.market(asset) | age

    def pair_row(self, key: state.PairKey) -> dict[str, Any]:
        """A row of vesu_pools at the moment, with V1's shutdown mode of that time."""
        row = pools.current(
            self._protocols[key.pool],
            key,
            self.world,
            self._tokens,
            is_listed=self.is_listed(key.pool),
            unknown_class=contract_classes.of_pool(self._unknown, key.pool, self.world),
        )
        mode = shutdown.mode(self.world, key, self.moment.now)
        return row | {"shutdown_mode": None if mode is None else mode.name.lower()}

    def valuer(self) -> valuations.Valuer:
        """Values positions in the current world; later edits have no effect."""
        return valuations.Valuer(self.world, self._block)

    def position_row(
        self,
        protocol: str,
        key: state.PositionKey,
        position: state.PositionState,
        valuer: valuations.Valuer | None = None,
    ) -> dict[str, Any]:
        """A row of vesu_positions, as it stood at the moment.

        Which assets' state it is valued with: `projections.valuations.markets`. `valuer`: one for
        many rows, which accrues each market once.
        """
        # The world may have been edited since it was read, as by a what-if.
        valuer = valuer or self.valuer()
        is_listed = self.is_listed(key.pool)
        values = positions.values(
            protocol, key, position, self.world, self._tokens, valuer, is_listed=is_listed
        )
        row = positions.by_column(values)
        now, text = self.moment.now, row["price_timestamp"]
        priced_at = None if text is None else datetime.datetime.fromisoformat(text)
        return row | {
            **self._price_age(priced_at),
            "pool_name": self.pool_name(key.pool),
            "shutdown_mode": permissions.shutdown_mode(self.world, key, now),
            "allowed_actions": permissions.allowed_actions(self.world, key, position, now),
        }

    def _price_age(self, priced_at: datetime.datetime | None) -> dict[str, int | bool | None]:
        seconds = None if priced_at is None else int(priced_at.timestamp())
        return {
            "price_age_seconds": price_age(self.moment, seconds),
            "is_price_stale": is_stale(self.moment, priced_at, self.max_price_age),
        }


async def snapshot(
    connection: Connection,
    at: When = None,
    pool_ids: Collection[int] | None = None,
    max_price_age: int | None = None,
) -> Snapshot:
    """The state of these pools (None: of all) at a moment.

    Rows on prices older than `max_price_age` seconds say so; None: prices may have any age.
    """
    snapshot = Snapshot(await moment(connection, at), max_price_age)
    await snapshot.load(connection, pool_ids)
    return snapshot


def total(values: Iterable[str | None]) -> str:
    """The exact sum of the values that are known."""
    known = (decimal.Decimal(value) for value in values if value is not None)
    return format(functools.reduce(EXACT.add, known, decimal.Decimal(0)), "f")
