"""Samples: prices and V1's rate models, read at the state after a block, folded after its events.

The log keeps each answer as an observation of its view. A price that was read at block
N is folded after the last event of block N and before the first of N + 1, wherever the batches
are cut, so that a replay gives the same rows as the run that asked. V1 changes rate models
without an event: a sample bounds the time for which interest is computed with the old one.
"""

from __future__ import annotations

from indexer.cairo import view_call
from indexer.log import facts
from indexer.vesu import accrual, events, fold, state, views

VIEWS = frozenset({views.PRICE.name, views.RATE_MODEL.name})
"""What is sampled."""

SAMPLED = 2**31 - 1
"""The transaction index of a sampled price's history rows: after all events of its block."""


def to_sample(
    world: state.World, extensions: views.Extensions, block: int
) -> list[view_call.ViewCall]:
    """The price of every asset that is supplied or owed, and in V1 its rate model, asked at a
    block's state.

    A V1.0 pool that V1.1 took over is left out: its positions are worth what V1.1 says.
    """
    calls = {
        call
        for key, asset in world.assets.items()
        if asset.total_collateral_shares or asset.total_nominal_debt
        if world.market(key.pool) == key.pool
        for call in _calls(block, views.contracts_of(world, key.pool, extensions), key.asset)
    }
    return sorted(calls)


def _calls(
    block: int, contracts: views.PoolContracts, asset: int
) -> tuple[view_call.ViewCall, ...]:
    """The views that are sampled for an asset. V2's events carry the rate models."""
    price = views.price_of(block, contracts, asset)
    if contracts.pool_id is None:
        return price
    return *price, *views.model_of(block, contracts, asset)


class Samples:
    """The samples of a batch, folded into `world` when their block is over."""

    def __init__(
        self,
        answers: state.Answers,
        batch: facts.Batch,
        world: state.World,
        extensions: views.Extensions,
    ) -> None:
        self._waiting = sorted(
            call
            for call in answers
            if call.view in VIEWS and batch.from_block <= call.block_number <= batch.to_block
        )
        self._answers = answers
        self._times = batch.timestamps
        self._world = world
        self._extensions = extensions
        self._next = 0

    def fold_before(self, block: int | None, folding: fold.Fold) -> None:
        """Fold the samples of blocks below `block` (None: all that are left)."""
        while self._next < len(self._waiting):
            call = self._waiting[self._next]
            if block is not None and call.block_number >= block:
                return
            self._next += 1
            at = state.EventKey(call.block_number, SAMPLED, 0)
            for key in self._keys(call):
                self._apply(folding, at, key, call)

    def _apply(
        self, folding: fold.Fold, at: state.EventKey, key: state.AssetKey, call: view_call.ViewCall
    ) -> None:
        felts, time = self._answers[call], self._times[call.block_number]
        if call.view == views.PRICE.name:
            folding.tell_price(at, time, key, _price(felts))
        elif (model := accrual.model_of(felts or ())) is not None:
            folding.tell_model(at, time, key, model)

    def _keys(self, call: view_call.ViewCall) -> list[state.AssetKey]:
        return [
            key
            for key in self._world.assets
            if key.asset == call.calldata[-1] and call in self._calls(call.block_number, key)
        ]

    def _calls(self, block: int, key: state.AssetKey) -> tuple[view_call.ViewCall, ...]:
        contracts = views.contracts_of(self._world, key.pool, self._extensions)
        return _calls(block, contracts, key.asset)


def _price(felts: tuple[int, ...] | None) -> events.AssetPrice | None:
    """The price; None where the contract refused, or answered something else."""
    if felts is None:
        return None
    try:
        values = views.read(views.PRICE.name, felts)
    except ValueError:
        # Another class answers by this name: no price, which the fold marks as invalid.
        return None
    return events.AssetPrice(values["price"], bool(values["price_is_valid"]))
