"""The accrual_mismatches table: accruals that the chain told otherwise than predicted."""

from __future__ import annotations

from typing import Any

from indexer.projections import assets, rows
from indexer.vesu import state


def row(protocol: str, one: state.Mismatch, timestamp: int) -> dict[str, Any]:
    """A row of accrual_mismatches."""
    return assets.identity(protocol, one.asset) | {
        "id": rows.mismatch_id(protocol, one),
        "variant": one.variant.value,
        "field": one.field,
        "predicted": str(one.predicted),
        "told": str(one.told),
        "explanation": one.explanation or None,
        **rows.event_place(one.at),
        "timestamp": rows.iso(timestamp),
    }
