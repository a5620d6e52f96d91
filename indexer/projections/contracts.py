"""The contracts table: the watched contracts, and the settings of every contract and V1 pool."""

from __future__ import annotations

from typing import Any

import asyncpg

from indexer.projections import rows
from indexer.vesu import kinds, maths, refusals, state

_ADDRESSES = (
    "owner",
    "curator",
    "oracle",
    "fee_recipient",
    "pausing_agent",
    "class_hash",
    "extension",
    "successor",
)

POOL_KINDS = frozenset(kinds.POOLS.values())
"""Rows that are pools inside a singleton, not contracts."""


def columns(address: int, contract: state.ContractState) -> dict[str, Any]:
    """The columns that the current row and its history share."""
    row: dict[str, Any] = {
        "address": rows.padded(address),
        "kind": contract.kind.value,
        "pool_address": rows.padded(contract.pool.address) if contract.pool else None,
        "pool_id": rows.padded(contract.pool.id) if contract.pool else None,
        "asset_address": rows.padded_or_none(contract.asset),
        "debt_address": rows.padded_or_none(contract.debt_asset),
        "name": contract.name,
        "symbol": contract.symbol,
        "variants": ",".join(contract.variants) if contract.variants else None,
        "variant_votes": _votes_as_text(contract.variant_votes),
        "quarantine_reason": contract.quarantine_reason,
        **_shutdown(contract),
        "is_paused": contract.is_paused,
        "is_current": contract.is_current,
        "created_block": contract.created_block,
        "created_at": rows.iso(contract.created_at),
    }
    for column in _ADDRESSES:
        row[column] = rows.padded_or_none(getattr(contract, column))
    return row


def _shutdown(contract: state.ContractState) -> dict[str, str | None]:
    """The shutdown columns of a V1 pool; NULL for all others."""
    is_pool = contract.kind in POOL_KINDS
    violations = (
        f"{collateral:#x}/{debt:#x}={since}" for collateral, debt, since in contract.violations
    )
    return {
        "recovery_period": str(contract.recovery_period) if is_pool else None,
        "subscription_period": str(contract.subscription_period) if is_pool else None,
        "shutdown_mode": contract.shutdown_mode.name.lower() if is_pool else None,
        "violations": " ".join(violations) or None,
    }


def current(address: int, contract: state.ContractState) -> dict[str, Any]:
    """A row of contracts."""
    return columns(address, contract) | {"last_event_block": contract.last_event_block}


def history(
    event_key: state.EventKey, address: int, contract: state.ContractState
) -> dict[str, Any]:
    """A row of contract_history."""
    return columns(address, contract) | rows.event_place(event_key)


def parse(row: asyncpg.Record) -> tuple[int, state.ContractState]:
    """Address and state, from either table."""
    return int(row["address"], 16), state.ContractState(
        kind=kinds.Kind(row["kind"]),
        pool=rows.pool_key(row) if row["pool_id"] else None,
        asset=_felt(row["asset_address"]),
        debt_asset=_felt(row["debt_address"]),
        name=row["name"],
        symbol=row["symbol"],
        variants=_variants(row["variants"]),
        variant_votes=_votes(row["variant_votes"]),
        quarantine_reason=row["quarantine_reason"],
        recovery_period=int(row["recovery_period"] or 0),
        subscription_period=int(row["subscription_period"] or 0),
        shutdown_mode=refusals.ShutdownMode[(row["shutdown_mode"] or "none").upper()],
        violations=_violations(row["violations"]),
        is_paused=row["is_paused"],
        is_current=row["is_current"],
        created_block=row["created_block"],
        created_at=int(row["created_at"].timestamp()),
        last_event_block=row["block_number"],
        **_addresses(row),
    )


def _addresses(row: asyncpg.Record) -> Any:
    return {column: _felt(row[column]) for column in _ADDRESSES}


def _variants(value: str | None) -> tuple[maths.Variant, ...] | None:
    return tuple(map(maths.Variant, value.split(","))) if value else None


Votes = tuple[tuple[int, tuple[maths.Variant, ...]], ...]


def _votes_as_text(votes: Votes) -> str | None:
    """`pool=variant|variant` for each pool, with spaces between."""
    written = (f"{pool:#x}={'|'.join(variants)}" for pool, variants in votes)
    return " ".join(written) or None


def _votes(value: str | None) -> Votes:
    pairs = (vote.split("=") for vote in (value or "").split())
    return tuple(
        (int(pool, 16), tuple(map(maths.Variant, variants.split("|")))) for pool, variants in pairs
    )


def _violations(value: str | None) -> tuple[state.Violation, ...]:
    found = (text.split("=") for text in (value or "").split())
    sides = ((*pair.split("/"), since) for pair, since in found)
    return tuple(
        (int(collateral, 16), int(debt, 16), int(since)) for collateral, debt, since in sides
    )


def _felt(value: str | None) -> int | None:
    return None if value is None else int(value, 16)
