"""The whole state at a moment; the states of the latest questions are kept."""

from __future__ import annotations

import asyncio
import collections
import functools
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from indexer.query import assets, database_state, point_in_time, pools

T = TypeVar("T")
Connection = point_in_time.Connection


class Kept(Generic[T]):
    """A cache of at most `size` values by key; the least recently used one is dropped."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: collections.OrderedDict[Hashable, T] = collections.OrderedDict()
        self._locks: dict[Hashable, asyncio.Lock] = {}

    def get(self, key: Hashable) -> T | None:
        """The kept value; None where there is none."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def keep(self, key: Hashable, value: T) -> None:
        """Keep a value; drops the least recently used one."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._size:
            self._values.popitem(last=False)

    async def made(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The kept value; where there is none it is made, once for all who ask meanwhile."""
        value = self.get(key)
        if value is None:
            async with self.making(key):
                value = self.get(key)
                if value is None:
                    value = await make()
                    self.keep(key, value)
        return value

    def making(self, key: Hashable) -> asyncio.Lock:
        """The lock held while a value is made, so that it is made only once."""
        if len(self._locks) > 4 * self._size:
            self._locks = {key: lock for key, lock in self._locks.items() if lock.locked()}
        return self._locks.setdefault(key, asyncio.Lock())


class State:
    """A moment's state; nobody changes it. Its rows are made when they are first asked for."""

    def __init__(self, snapshot: point_in_time.Snapshot) -> None:
        self.snapshot = snapshot

    @property
    def moment(self) -> point_in_time.Moment:
        """The moment."""
        return self.snapshot.moment

    @functools.cached_property
    def assets(self) -> list[assets.Asset]:
        """Every asset, accrued to the moment."""
        return assets.every(self.snapshot)

    @functools.cached_property
    def pools(self) -> list[pools.Pool]:
        """Every pair, with interest accrued to the moment."""
        return pools.every(self.snapshot)


class States:
    """The states of the latest moments that questions asked for."""

    def __init__(self, size: int = 8) -> None:
        self._kept: Kept[State] = Kept(size)

    async def of_moment(
        self,
        connection: Connection,
        moment: point_in_time.Moment,
        standing: database_state.DatabaseState,
    ) -> State:
        """The state at a moment, read in the caller's transaction where it is not kept."""

        async def read() -> State:
            snapshot = point_in_time.Snapshot(moment)
            await snapshot.load(connection, None, standing.sampling)
            return State(snapshot)

        return await self._kept.made(identity(moment, standing), read)


def identity(
    moment: point_in_time.Moment, standing: database_state.DatabaseState
) -> tuple[Hashable, ...]:
    """Everything that the rows at a moment depend on: moment, rollbacks, live replays, samples."""
    return (*moment.parts, standing.fork_counter, standing.generation, standing.sampling)
