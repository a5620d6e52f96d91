"""What a transaction has said so far and a later event of it will need.

V1 tells some facts only between the lines: two contexts in a row mean shares handed to a
liquidator, a vToken minted without a Deposit means a position wrapped. Nothing here
outlives its transaction.
"""

from __future__ import annotations

import msgspec

from indexer.vesu import accrual, discovery, maths, state


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where the event in hand stands and who emitted it."""

    event_key: state.EventKey
    timestamp: int
    emitter: int
    known: discovery.Known

    @property
    def pool(self) -> state.PoolKey:
        """The pool that a V2 pool's or a vToken's event is of."""
        assert self.known.pool is not None, "discovery gives pools and vTokens their pool"
        return self.known.pool


class ReportedContext(msgspec.Struct, frozen=True, gc=False):
    """An UpdateContext: the pair, and its collateral's state before and after."""

    pair: state.PairKey
    before: accrual.AssetState
    after: accrual.AssetState


class Minted(msgspec.Struct, frozen=True, gc=False):
    """vTokens made (`amount` > 0) or destroyed, not yet explained by a Deposit or Withdraw."""

    event_key: state.EventKey
    holder: state.PositionKey
    amount: int


class Transient(msgspec.Struct):
    """Collected since the transaction began; `contexts` and `fees` since its last action.

    `fees` are the shares that AccrueFees gave to extensions' positions; `expected` what an
    accrual should have minted, by variant of the maths; `unexplained` are markets with an
    accrual that no action has accounted for, with the event that told it.
    """

    transaction_key: tuple[int, int] = (-1, -1)
    contexts: list[ReportedContext] = []
    fees: dict[state.AssetKey, int] = {}
    expected: dict[state.AssetKey, dict[maths.Variant, int]] = {}
    minted: list[Minted] = []
    unexplained: dict[state.AssetKey, Origin] = {}

    def action_done(self) -> None:
        """The action that contexts and fees led up to has been told."""
        self.contexts = []
        self.fees = {}

    def explain(self, holder: state.PositionKey, amount: int) -> None:
        """A Deposit or Withdraw accounts for vTokens made or destroyed."""
        for index, minted in enumerate(self.minted):
            if minted.holder == holder and minted.amount == amount:
                del self.minted[index]
                return
