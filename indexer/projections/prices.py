"""Prices that are sampled beside the log; what events told of prices stands in the state.

A sample is a pool's `price` view, and V1's rate model, which changes without an event: asked at
the hash of a block, it holds for the state at that block's end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from indexer.cairo import view_call
from indexer.projections import rows
from indexer.vesu import accrual, state, views

SAMPLE = "sample"
"""The source of these prices; that of the others is "event"."""


class PriceQuestion(NamedTuple):
    """An asset to sample: what to ask for its price, and for its rate model (None: V2)."""

    key: state.AssetKey
    price: view_call.ViewCall
    model: view_call.ViewCall | None

    @property
    def views(self) -> tuple[view_call.ViewCall, ...]:
        """All views of the question."""
        return (self.price,) if self.model is None else (self.price, self.model)


def questions(world: state.World, extensions: views.Extensions, block: int) -> list[PriceQuestion]:
    """What to ask at a block: of every asset that is supplied or owed.

    A V1.0 pool that V1.1 took over is left out: its positions are worth what V1.1 says.
    """
    found = []
    for key, asset in world.assets.items():
        if not (asset.total_collateral_shares or asset.total_nominal_debt):
            continue
        home = views.contracts_of(world, key.pool, extensions)
        if world.market(key.pool) != key.pool or home.settings is None:
            continue
        (price,) = views.price_of(block, home, key.asset)
        # V2's events carry the rate models.
        model = None if home.pool_id is None else views.model_of(block, home, key.asset)[0]
        found.append(PriceQuestion(key, price, model))
    return sorted(found)


def sampled(
    protocol: str,
    price_question: PriceQuestion,
    block_hash: str,
    timestamp: int,
    answers: Mapping[view_call.ViewCall, Sequence[int] | None],
) -> dict[str, Any]:
    """A row of vesu_sampled_prices, made of the views' answers; None: the contract refused."""
    price = _price(answers[price_question.price])
    model = (
        None
        if price_question.model is None
        else accrual.model_of(answers.get(price_question.model) or ())
    )
    key = price_question.key
    return {
        "pool_id": rows.padded(key.pool.id),
        "asset_id": rows.asset_id(protocol, key),
        "pool_address": rows.padded(key.pool.address),
        "protocol": protocol,
        "asset_address": rows.padded(key.asset),
        "block_number": price_question.price.block_number,
        "block_hash": rows.padded(int(block_hash, 16)),
        "timestamp": rows.iso(timestamp),
        "price": None if price is None else str(price[0]),
        "is_valid": price is not None and price[1],
        "source": SAMPLE,
        "rate_model": None if model is None else [str(value) for value in _values(model)],
    }


def model_of(values: Sequence[Any] | None) -> accrual.RateModel | None:
    """The rate model of a row."""
    return None if values is None else accrual.RateModel(*map(int, values))


def _values(model: accrual.RateModel) -> tuple[int, ...]:
    return tuple(getattr(model, name) for name in model.__struct_fields__)


def _price(felts: Sequence[int] | None) -> tuple[int, bool] | None:
    """The price and its validity; None where the contract refused, or answered something else."""
    if felts is None:
        return None
    try:
        values = views.read(views.PRICE.name, felts)
    except ValueError:
        # Another class answers by this name: no price, which counts as invalid.
        return None
    return values["price"], bool(values["price_is_valid"])
