"""Samples: prices and V1's rate models, read at the state after a block, folded after its events.

The log keeps each answer as an observation of its view. A price that was read at block
N is folded after the last event of block N and before the first of N + 1, wherever the batches
are cut, so that a replay gives the same rows as the run that asked. V1 changes rate models
without an event: a sample bounds the time for which interest is computed with the old one.
"""

from __future__ import annotations

from indexer.log import facts, observations
from indexer.projections import questions
from indexer.vesu import accrual, events, fold, state, views

VIEWS = frozenset({views.PRICE.name, views.RATE_MODEL.name})
"""What is sampled."""

SAMPLED = 2**31 - 1
"""The transaction index of a sampled price's history rows: after all events of its block."""


def to_sample(
    world: state.World, extensions: views.Extensions, number: int, block_hash: str
) -> list[observations.View]:
    """The price of every asset that is supplied or owed, and in V1 its rate model, asked at a
    block's state.

    A V1.0 pool that V1.1 took over is left out: its positions are worth what V1.1 says.
    """
    asked = {
        state.Question(number, question.contract, question.view.name, question.calldata)
        for key, asset in world.assets.items()
        if asset.total_collateral_shares or asset.total_nominal_debt
        if world.market(key.pool) == key.pool
        for question in _questions(views.contracts_of(world, key.pool, extensions), key.asset)
    }
    return [questions.asked(one, {number: block_hash}) for one in sorted(asked)]


def _questions(home: views.PoolContracts, asset: int) -> tuple[views.Question, ...]:
    """What is asked of an asset. V2 tells rate models in events."""
    asked = views.price_of(home, asset)
    if home.pool_id is None or home.settings is None:
        return asked
    calldata = (*home.first, asset)
    return (*asked, views.Question(home.settings, views.RATE_MODEL, calldata))


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
            asked
            for asked in answers
            if asked.view in VIEWS and batch.from_block <= asked.block_number <= batch.to_block
        )
        self._answers = answers
        self._times = batch.timestamps
        self._world = world
        self._extensions = extensions
        self._next = 0

    def fold_before(self, block: int | None, folding: fold.Fold) -> None:
        """Fold the samples of blocks below `block` (None: all that are left)."""
        while self._next < len(self._waiting):
            asked = self._waiting[self._next]
            if block is not None and asked.block_number >= block:
                return
            self._next += 1
            at = state.EventKey(asked.block_number, SAMPLED, 0)
            for key in self._keys(asked):
                self._tell(folding, at, key, asked)

    def _tell(
        self, folding: fold.Fold, at: state.EventKey, key: state.AssetKey, asked: state.Question
    ) -> None:
        felts, time = self._answers[asked], self._times[asked.block_number]
        if asked.view == views.PRICE.name:
            folding.tell_price(at, time, key, _told(felts))
        elif (model := accrual.model_of(felts or ())) is not None:
            folding.tell_model(at, time, key, model)

    def _keys(self, asked: state.Question) -> list[state.AssetKey]:
        view = views.PRICE if asked.view == views.PRICE.name else views.RATE_MODEL
        question = views.Question(asked.contract, view, asked.calldata)
        return [
            key
            for key in self._world.assets
            if key.asset == asked.calldata[-1] and question in self._questions_of(key)
        ]

    def _questions_of(self, key: state.AssetKey) -> tuple[views.Question, ...]:
        return _questions(views.contracts_of(self._world, key.pool, self._extensions), key.asset)


def _told(felts: tuple[int, ...] | None) -> events.AssetPrice | None:
    """The price; None where the contract refused, or answered something else."""
    if felts is None:
        return None
    try:
        values = views.read(views.PRICE, felts)
    except ValueError:
        # Another class answers by this name: no price, which the fold marks as invalid.
        return None
    return events.AssetPrice(values["price"], bool(values["price_is_valid"]))
