"""One market with many positions: each user opens one, then users add to theirs one at a time."""

from __future__ import annotations

import random

from benchmarks import actors
from indexer.projections import valuations
from indexer.vesu import accrual, state

SHARES = 10**20


class Crowd:
    """Gives what a pool emits, transaction by transaction, as `actors.Actors` does.

    First somebody donates what all users borrow. Then each of them opens a position, the share
    `edge` of them with a health below 1.3. From then on a user at a time supplies one share more.
    """

    def __init__(
        self,
        invented: actors.Actors,
        market: actors.Market,
        world: state.World,
        block: valuations.Block,
        positions: int,
        edge: float,
        dice: random.Random,
    ) -> None:
        self._invented = invented
        self.market = market
        self._dice = dice
        self._edge = edge
        self._users = [dice.getrandbits(250) for _ in range(positions)]
        self._opened = 0
        self._has_donated = False
        pair = state.PairKey(state.v2_pool(market.pool), market.collateral, market.debt)
        bound = valuations.Valuer(world, block).edge(pair)
        assert bound is not None, "the market has prices and a limit"
        self._bound = bound

    @property
    def left(self) -> int:
        """How many users have not opened their position yet."""
        return len(self._users) - self._opened

    def transaction(self, timestamp: int) -> list[actors.Event]:
        """What the pool emits in the next transaction, at the time of its block."""
        if not self._has_donated:
            self._has_donated = True
            return self._invented.donate(self.market, self.market.debt, self._borrowed(), timestamp)
        if self.left:
            user = self._users[self._opened]
            self._opened += 1
            return self._open(user, timestamp)
        return self._invented.modify(self.market, self._dice.choice(self._users), 1, 0, timestamp)

    def _borrowed(self) -> int:
        """Raw units: as much as all of them borrow, and as much again."""
        most = 3 * len(self._users) * SHARES * valuations.RATIO_SCALE // self._bound
        return accrual.debt_of(most, self._invented.asset(self.market, self.market.debt))

    def _open(self, user: int, timestamp: int) -> list[actors.Event]:
        is_far = self._dice.random() >= self._edge
        far = self._dice.uniform(1.5, 8.0) if is_far else self._dice.uniform(0.8, 0.99)
        nominal = SHARES * valuations.RATIO_SCALE // int(self._bound * far)
        return self._invented.modify(self.market, user, SHARES, nominal, timestamp)
