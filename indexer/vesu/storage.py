"""What the storage of a pool can hold: more, no class that we know can have written."""

from __future__ import annotations

from indexer import errors
from indexer.vesu import accrual, transaction

SHARES_LIMIT = 1 << 128
"""Collateral shares and raw units: what a pool's storage holds of them is smaller."""

NOMINAL_LIMIT = 1 << 123
"""Nominal debt, too."""


def require_storable(origin: transaction.Origin, asset: accrual.AssetState) -> None:
    """What no pool's storage can hold, no pool of a class that we know tells.

    Its total debt can be worked out then, as can everything that follows from it.
    """
    if (
        0 <= asset.total_collateral_shares < SHARES_LIMIT
        and 0 <= asset.reserve < SHARES_LIMIT
        and 0 <= asset.fee_shares < SHARES_LIMIT
        and 0 <= asset.total_nominal_debt < NOMINAL_LIMIT
        and asset.last_updated <= origin.timestamp
    ):
        if asset.last_rate_accumulator >> 128 or asset.scale >> 64:
            asset.total_debt  # noqa: B018 RevertedError where the contract's arithmetic overflows
        return
    raise errors.ProjectionError(
        f"event {tuple(origin.event_key)} tells a market's state that no pool can store"
    )
