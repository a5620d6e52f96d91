"""Each pair's debt cap, and how much may still be borrowed below it."""

from __future__ import annotations

import decimal

import msgspec

from indexer.query import kinds, point_in_time, pools, states


class Cap(msgspec.Struct, frozen=True):
    """A pair's debt against its cap, in the debt asset.

    `debt_cap` and `headroom` are None where the pair has no cap. `used` is the debt's part of the
    cap. `headroom` is 0 where the debt is above the cap, as interest may bring it. What a pair can
    lend is also bounded by its market's reserve and utilisation (`/v1/quotes/max-borrow`).
    """

    id: kinds.Id
    pool_id: kinds.Felt
    pool_name: str | None
    protocol: str
    collateral_address: kinds.Felt
    collateral_asset: str | None
    debt_address: kinds.Felt
    debt_asset: str | None
    debt_cap: kinds.Amount | None
    pair_debt: kinds.Amount | None
    headroom: kinds.Amount | None
    used: kinds.Ratio | None


FIELDS = kinds.fields(Cap)
ORDERS = ("pool_id", "used", "headroom", "pair_debt")


def every(state: states.State) -> list[Cap]:
    """All configured pairs with their caps."""
    return [_cap(pool) for pool in state.pools if pool.is_configured]


def _cap(pair: pools.Pool) -> Cap:
    headroom = used = None
    if pair.debt_cap is not None and pair.pair_debt is not None:
        cap, debt = decimal.Decimal(pair.debt_cap), decimal.Decimal(pair.pair_debt)
        left = max(point_in_time.EXACT.subtract(cap, debt), decimal.Decimal(0))
        headroom = format(left.quantize(cap, context=point_in_time.EXACT), "f")
        share = point_in_time.EXACT.divide_int(debt.scaleb(18, point_in_time.EXACT), cap)
        used = format(share.scaleb(-18, point_in_time.EXACT), "f")
    return Cap(
        *(pair.id, pair.pool_id, pair.name, pair.protocol),
        *(pair.collateral_address, pair.collateral_asset, pair.debt_address, pair.debt_asset),
        *(pair.debt_cap, pair.pair_debt, headroom, used),
    )
