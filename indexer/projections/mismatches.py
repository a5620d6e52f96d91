"""The accrual_mismatches table: accruals on chain that differ from the predicted ones."""

from __future__ import annotations

from typing import Any

from indexer.projections import assets, rows
from indexer.vesu import state


def row(protocol: str, mismatch: state.Mismatch, timestamp: int) -> dict[str, Any]:
    """A row of accrual_mismatches."""
    return {
        **assets.identity(protocol, mismatch.asset),
        "id": rows.mismatch_id(protocol, mismatch),
        "variant": mismatch.variant.value,
        "field": mismatch.field,
        "predicted": str(mismatch.predicted),
        "told": str(mismatch.reported),
        "explanation": mismatch.explanation or None,
        **rows.event_place(mismatch.event_key),
        "timestamp": rows.iso(timestamp),
    }
