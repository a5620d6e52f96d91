"""Interest that borrowers paid over a period, by asset: the fees in it, and the suppliers' part.

Interest is exact: nominal debt times the growth of the rate accumulator, from version to version of
each asset's state, with both ends accrued to their time. USD values take the price at the end.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from indexer.projections import rows
from indexer.query import assets as query_assets
from indexer.query import kinds, point_in_time, states
from indexer.store import sqlfile
from indexer.vesu import valuation

_SQL = sqlfile.load(__package__, "analysis")

UNIT = 10**18


class AssetFees(msgspec.Struct, frozen=True):
    """One asset's interest over the time, the part that went to fees, and the rest.

    Raw amounts are rounded down; fees are interest times the fee rate, which the contract pays in
    shares.
    """

    asset_id: kinds.Id
    pool_id: kinds.Felt
    protocol: str
    asset_address: kinds.Felt
    symbol: str | None
    is_listed: bool
    interest_raw: kinds.Raw
    interest: kinds.Amount
    fees_raw: kinds.Raw
    fees: kinds.Amount
    interest_usd: kinds.Usd | None
    fees_usd: kinds.Usd | None


class Sums(msgspec.Struct, frozen=True):
    """Interest of some assets in USD. `unpriced`: assets in no sum."""

    interest_usd: kinds.Usd
    fees_usd: kinds.Usd
    supply_side_usd: kinds.Usd
    unpriced: list[str]


class Fees(msgspec.Struct, frozen=True):
    """All assets' interest between two times, and its sums in USD. `unpriced`: assets in no sum.

    The sums count listed pools; `unlisted` are those of the others.
    """

    since: datetime.datetime
    until: datetime.datetime
    interest_usd: kinds.Usd
    fees_usd: kinds.Usd
    supply_side_usd: kinds.Usd
    unpriced: list[str]
    unlisted: Sums
    assets: list[AssetFees]


async def between(
    connection: point_in_time.Connection, then: states.State | None, now: states.State
) -> Fees:
    """The fees between two moments; `then` None: from the first block on."""
    began = datetime.datetime.fromtimestamp(0, datetime.UTC)
    since = began if then is None else then.moment.valued_at
    # No version up to the block of `then` is later than `since`: an index finds those above it.
    above = -1 if then is None else then.moment.block_number
    args = (since, now.moment.valued_at, now.moment.block_number, above)
    sums = {_key(row): row for row in await connection.fetch(_SQL["interest"], *args)}
    edges = {_key(row): row for row in await connection.fetch(_SQL["edges"], *args)}
    before = {} if then is None else {(asset.pool_id, asset.id): asset for asset in then.assets}
    found = []
    for asset in now.assets:
        key = (asset.pool_id, asset.id)
        found.append(_fees(asset, before.get(key), sums.get(key), edges.get(key)))
    return _summed(since, now.moment.valued_at, found)


def _key(row: Any) -> tuple[str, str]:
    return row["pool_id"], row["id"]


def _fees(
    now: query_assets.Asset, then: query_assets.Asset | None, inner: Any, edge: Any
) -> AssetFees:
    """Interest of the versions inside the period and of its two ends, which no row holds."""
    scaled = 0 if inner is None else int(inner["interest"])
    charged = 0 if inner is None else int(inner["fees"])
    end = int(now.last_rate_accumulator)
    if edge is not None:
        last = int(edge["last_debt"]) * (end - int(edge["last_accumulator"]))
        scaled, charged = scaled + last, charged + last * int(edge["last_fee_rate"])
        end = int(edge["first_accumulator"])
    if then is not None:
        first = int(then.total_nominal_debt) * (end - int(then.last_rate_accumulator))
        scaled, charged = scaled + first, charged + first * int(then.fee_rate)
    scale = int(now.scale)
    interest, fees = scaled * scale // UNIT**2, charged * scale // UNIT**3
    decimals = rows.decimals_of(scale)
    return AssetFees(
        now.id,
        now.pool_id,
        now.protocol,
        now.asset_address,
        now.symbol,
        now.is_listed,
        str(interest),
        rows.units(interest, decimals),
        str(fees),
        rows.units(fees, decimals),
        _usd(interest, now),
        _usd(fees, now),
    )


def _usd(amount: int, asset: query_assets.Asset) -> str | None:
    price = None if asset.price is None else int(asset.price)
    return rows.scaled(valuation.usd(amount, price, int(asset.scale)))


def _summed(since: datetime.datetime, until: datetime.datetime, found: list[AssetFees]) -> Fees:
    listed = _sums([asset_fees for asset_fees in found if asset_fees.is_listed])
    unlisted = _sums([asset_fees for asset_fees in found if not asset_fees.is_listed])
    return Fees(
        since,
        until,
        listed.interest_usd,
        listed.fees_usd,
        listed.supply_side_usd,
        listed.unpriced,
        unlisted,
        found,
    )


def _sums(found: list[AssetFees]) -> Sums:
    interest = point_in_time.total(asset_fees.interest_usd for asset_fees in found)
    fees = point_in_time.total(asset_fees.fees_usd for asset_fees in found)
    unpriced = sorted(
        {
            asset_fees.symbol or asset_fees.asset_address
            for asset_fees in found
            if asset_fees.interest_usd is None and int(asset_fees.interest_raw)
        }
    )
    rest = point_in_time.total([interest, f"-{fees}"])
    return Sums(interest, fees, rest, unpriced)
