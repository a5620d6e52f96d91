"""The answers that views should give at a block by the stored rows: integers by column.

Every function takes a side, what is asked and the block; None: the side has no such row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from indexer.audit import stored_state, view_questions
from indexer.projections import valuations
from indexer.vesu import accrual, maths, state, views

Values = Mapping[str, int] | None
Answers = Callable[[stored_state.Side, view_questions.ViewQuestion, stored_state.Block], Values]

_ASSET_COLUMNS = tuple(column for column, _ in views.ASSET_V2.result)


def _asset(
    side: stored_state.Side, view_question: view_questions.ViewQuestion, block: stored_state.Block
) -> Values:
    """The accrued configuration; V1 also answers `minted_fee_shares`."""
    stored = side.world.assets.get(view_question.key)
    if stored is None:
        return None
    now = accrual.accrue(stored, block.timestamp)
    values = {column: int(getattr(now, column)) for column in _ASSET_COLUMNS}
    return values | {"minted_fee_shares": now.fee_shares - stored.fee_shares}


def _model(
    side: stored_state.Side, view_question: view_questions.ViewQuestion, _: stored_state.Block
) -> Values:
    asset = side.world.assets.get(view_question.key)
    return None if asset is None else msgspec.structs.asdict(asset.model)


def _price(
    side: stored_state.Side, view_question: view_questions.ViewQuestion, _: stored_state.Block
) -> Values:
    """Nothing to hold against the view unless the price was sampled at this very block.

    A price of an event is of its transaction: the oracle may have moved later in the block.
    """
    asset = side.world.assets.get(view_question.key)
    if asset is None:
        return None
    if asset.price is None or view_question.key not in side.sampled:
        return {}
    return {"price": asset.price, "price_is_valid": int(bool(asset.price_is_valid))}


def _pair(
    side: stored_state.Side, view_question: view_questions.ViewQuestion, _: stored_state.Block
) -> Values:
    pair = side.world.pairs.get(view_question.key)
    if pair is None:
        return None
    return {
        "max_ltv_raw": pair.max_ltv,
        "liquidation_factor_raw": pair.liquidation_factor,
        "debt_cap_raw": pair.debt_cap,
        "pair_collateral_shares": pair.total_collateral_shares,
        "pair_nominal_debt": pair.total_nominal_debt,
    }


def _position(
    side: stored_state.Side, view_question: view_questions.ViewQuestion, block: stored_state.Block
) -> Values:
    position = side.world.positions.get(view_question.key)
    if position is None:
        return None
    holds = {
        "collateral_shares": position.collateral_shares,
        "nominal_debt": position.nominal_debt,
        "vtoken_balance_raw": position.vtoken_balance,
    }
    if position.migrated_block is not None:
        return holds  # V1.0 still tells amounts, but V1.1 holds them now.
    worth_ = valuations.value_at(
        _asked_position(view_question), position, _markets(side.world), block.timestamp
    )
    if worth_.collateral is None or worth_.debt is None:
        return holds  # the contract's own view reverts
    return holds | {"collateral_raw": worth_.collateral, "debt_raw": worth_.debt}


def _markets(world: state.World) -> state.World:
    """The markets alone, so that each pool's own ones count, also after V1.1 took it over."""
    return state.World(assets=world.assets, pairs=world.pairs)


def _asked_position(view_question: view_questions.ViewQuestion) -> state.PositionKey:
    """The position, in the pool whose contract answers."""
    key: state.PositionKey = view_question.key
    return key if view_question.market is None else key._replace(pool=view_question.market)


def _settings(
    side: stored_state.Side, view_question: view_questions.ViewQuestion, _: stored_state.Block
) -> Values:
    key: Any = view_question.key
    contract = side.world.contracts.get(key) if isinstance(key, int) else side.world.pools.get(key)
    if contract is None:
        return None
    return {column: int(getattr(contract, column) or 0) for column in _SETTINGS}


def _supply(
    side: stored_state.Side, view_question: view_questions.ViewQuestion, _: stored_state.Block
) -> Values:
    if view_question.key not in side.world.contracts:
        return None
    holdings = side.world.positions.items()
    return {
        "total_supply": sum(
            position.vtoken_balance
            for key, position in holdings
            if key.v_token == view_question.key
        )
    }


def worth(
    side: stored_state.Side,
    view_question: view_questions.ViewQuestion,
    balance: int,
    block: stored_state.Block,
) -> Values:
    """The expected answer of convert_to_assets for a balance."""
    if view_question.key not in side.world.positions:
        return None
    holding = state.PositionState("earn", vtoken_balance=balance)
    valuation = valuations.value_at(
        view_question.key, holding, _markets(side.world), block.timestamp
    )
    return None if valuation.collateral is None else {"collateral_raw": valuation.collateral}


def collateralization(
    side: stored_state.Side,
    view_question: view_questions.ViewQuestion,
    prices: Mapping[int, int],
    block: stored_state.Block,
) -> Values:
    """The expected answer of check_collateralization at these prices (by asset, x 10^18)."""
    position = side.world.positions.get(view_question.key)
    if position is None:
        return None
    key = _asked_position(view_question)
    if position.migrated_block is not None:
        return {}  # V1.0 still answers, but V1.1 holds it all now.
    world = state.World(pairs=side.world.pairs)
    for asset, price in prices.items():
        asset_key = state.AssetKey(key.pool, asset)
        known = side.world.assets.get(asset_key, accrual.AssetState())
        world.assets[asset_key] = msgspec.structs.replace(known, price=price)
    valuation = valuations.value_at(key, position, world, block.timestamp)
    health = valuation.health_factor
    return {
        "is_collateralized": int(health is None or health >= maths.SCALE),
        "collateral_value_usd": valuation.collateral_usd or 0,
        "debt_value_usd": valuation.debt_usd or 0,
    }


_SETTINGS = (
    *(view.name for view in views.SETTINGS_V2),
    *(view.result[0][0] for view in (views.EXTENSION_V1, views.OWNER_V1, views.FEE_RECIPIENT_V1)),
)

BY_VIEW: dict[str, Answers] = {
    **{view.name: _asset for view in (views.ASSET_V2, views.ASSET_V1)},
    views.RATE_MODEL.name: _model,
    views.PRICE.name: _price,
    **{
        view.name: _pair
        for view in (
            views.PAIR_V2,
            views.LTV_V1,
            views.LIQUIDATION_V1,
            views.DEBT_CAP_V1,
            views.PAIRS,
        )
    },
    **{view.name: _position for view in (views.POSITION_V2, views.POSITION_V1, views.BALANCE)},
    views.SUPPLY.name: _supply,
    **{
        view.name: _settings
        for view in (
            *views.SETTINGS_V2,
            views.EXTENSION_V1,
            views.OWNER_V1,
            views.FEE_RECIPIENT_V1,
        )
    },
}
"""By view; convert_to_assets and check_collateralization need more than the row."""
