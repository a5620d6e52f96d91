"""One opportunity as it is shown: both ways to liquidate, their profits, and the calls to send."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from indexer.cairo import felt252
from indexer.projections import rows
from indexer.query import markets, point_in_time
from indexer.vesu import accrual, calls, liquidation, market, maths, quotes, state

MARGIN_SECONDS = 600
"""A full repayment offers what will be owed so much later: the contract takes what is owed."""


class Call(msgspec.Struct, frozen=True):
    """A call to send, as felts in hexadecimal."""

    contract_address: str
    function: str
    selector: str
    calldata: list[str]


class Repayment(msgspec.Struct, frozen=True):
    """One way to liquidate. Amounts exact; profits in USD at the prices of the answer.

    `refusal`: what the contract would revert with; the amounts are 0 then. `is_bad_debt`: the
    debt is worth more than the collateral covers, and its suppliers lose `bad_debt`.
    """

    refusal: str | None
    repaid_raw: str
    repaid: str
    seized_raw: str
    seized: str
    bad_debt_raw: str
    bad_debt: str
    is_bad_debt: bool
    gross_profit_usd: str
    net_profit_usd: str


class Opportunity(msgspec.Struct, frozen=True):
    """A position that may be liquidated.

    `full` repays all; `partial` is the largest repayment that leaves a rest, which is what the
    contract allows where a full one is refused or costs more than the liquidator has. `best` is
    the one of them that `calls` sends: an approval of the debt asset, and the liquidation.
    """

    pool_id: str
    pool_address: str
    pool_name: str | None
    is_listed: bool
    collateral_address: str
    collateral_asset: str | None
    debt_address: str
    debt_asset: str | None
    user_id: str
    collateral_raw: str
    debt_raw: str
    ltv: str | None
    health_factor: str | None
    bonus: str
    smallest_repay_raw: str
    full: Repayment
    partial: Repayment | None
    best: str
    net_profit_usd: str
    prices: list[markets.Price]
    calls: list[Call]


class Prices(NamedTuple):
    """The prices of an answer: of a snapshot, at a moment, changed as its conditions say."""

    snapshot: point_in_time.Snapshot
    moment: point_in_time.Moment
    conditions: markets.Conditions

    def of(self, key: state.PositionKey) -> list[markets.Price]:
        """The prices of a position's two assets."""
        return [
            markets.price_of(
                self.snapshot,
                state.AssetKey(key.pool, asset),
                self.moment,
                self.conditions.price_changes,
            )
            for asset in (key.collateral, key.debt)
        ]


def shown(
    prices: Prices,
    key: state.PositionKey,
    market_state: market.Market,
    found: liquidation.Opportunity,
    best: liquidation.Liquidation,
    costs: liquidation.Costs,
) -> Opportunity:
    """The opportunity that was found in a position's market; `best` is one of its liquidations."""
    is_full = best.asked == found.full.asked
    collateral, debt = prices.of(key)
    ltv = (
        market_state.debt_usd * maths.SCALE // market_state.collateral_usd
        if market_state.collateral_usd
        else None
    )
    return Opportunity(
        felt252.padded(key.pool.id),
        felt252.padded(key.pool.address),
        prices.snapshot.pool_name(key.pool),
        prices.snapshot.is_listed(key.pool),
        collateral.asset_address,
        collateral.asset,
        debt.asset_address,
        debt.asset,
        felt252.padded(key.user),
        str(market_state.collateral_held),
        str(market_state.debt_owed),
        rows.scaled(ltv),
        rows.scaled(
            market_state.collateral_usd * market_state.pair.max_ltv // market_state.debt_usd
        ),
        rows.units(liquidation.bonus_rate(market_state), 18),
        str(liquidation.smallest_repay(market_state)),
        _repayment(market_state, found.full, costs),
        None if found.partial is None else _repayment(market_state, found.partial, costs),
        "full" if is_full else "partial",
        rows.units(costs.net(best), 18),
        [collateral, debt],
        _calls(key, market_state, best, costs, is_full=is_full),
    )


def _repayment(
    market_state: market.Market, liquidation: liquidation.Liquidation, costs: liquidation.Costs
) -> Repayment:
    debt, collateral = (
        rows.decimals_of(side.scale) for side in (market_state.debt, market_state.collateral)
    )
    return Repayment(
        None if liquidation.refusal is None else liquidation.refusal.value,
        str(liquidation.paid),
        rows.units(liquidation.paid, debt),
        str(liquidation.seized),
        rows.units(liquidation.seized, collateral),
        str(liquidation.bad_debt),
        rows.units(liquidation.bad_debt, debt),
        liquidation.bad_debt > 0,
        rows.units(liquidation.gross, 18),
        rows.units(0 if liquidation.refusal else costs.net(liquidation), 18),
    )


def _calls(
    key: state.PositionKey,
    market_state: market.Market,
    best: liquidation.Liquidation,
    costs: liquidation.Costs,
    *,
    is_full: bool,
) -> list[Call]:
    """The approval and the liquidation, for at least the collateral less slippage."""
    repay = best.asked
    if is_full:
        then = accrual.accrue(market_state.debt, market_state.debt.last_updated + MARGIN_SECONDS)
        repay = quotes.repay_all(
            market_state.nominal_debt, market_state.debt, then, MARGIN_SECONDS
        ).later
    least = best.seized * (maths.SCALE - costs.slippage) // maths.SCALE
    return [
        _call(calls.approve(key.debt, key.pool.address, repay)),
        _call(calls.liquidate(key, repay, least)),
    ]


def _call(call: calls.Call) -> Call:
    return Call(
        felt252.padded(call.contract),
        call.function,
        hex(call.selector),
        [hex(felt) for felt in call.calldata],
    )
