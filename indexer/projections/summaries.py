"""What a batch did, for progress, metrics, notifications and the log of the daemon."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import structlog

from indexer.projections import decoding, rows
from indexer.vesu import state

log = structlog.get_logger(__name__)


class Summary(msgspec.Struct, frozen=True):
    """What a batch did: counts for progress, metrics and the notification.

    `undecoded` counts by kind, address and first key of the events that nobody can decode;
    `assets` are those whose state changed; `quarantined_pools` all that are frozen now.
    """

    events: int
    undecoded: dict[tuple[str, str, str], int]
    tables: tuple[str, ...]
    accruals_checked: int = 0
    accruals_wrong: int = 0
    assets: frozenset[state.AssetKey] = frozenset()
    quarantined_pools: int = 0
    positions: int = 0
    """How many positions were active when they were last counted: far behind the head after each
    batch, until they are more than `revaluation.COUNTED_EACH_TIME`; at the head once an hour of the
    chain's time."""


def report_quarantined(journal: state.Journal) -> None:
    """Log the pools that a batch froze."""
    for event_key, pool, reason in journal.quarantined:
        log.error(
            "pool_quarantined",
            pool=rows.padded(pool.id),
            contract=rows.padded(pool.address),
            block=event_key.block_number,
            transaction_index=event_key.transaction_index,
            event_index=event_key.event_index,
            reason=reason,
        )


def report_refused(journal: state.Journal) -> None:
    """Log the events that a batch left out."""
    for event_key, reason in journal.refused:
        log.warning(
            "refused_event",
            block=event_key.block_number,
            transaction_index=event_key.transaction_index,
            event_index=event_key.event_index,
            reason=reason,
        )


def of_batch(
    decoded: Sequence[decoding.Decoded],
    journal: state.Journal,
    written: Mapping[str, bool],
    quarantined_pools: int,
    positions: int,
) -> Summary:
    """What a batch did; `written`: tables that were written for another reason than its events."""
    touched = (
        (
            "vesu_pools",
            journal.pairs or journal.assets or journal.contracts or journal.pools,
        ),
        ("vesu_assets", journal.assets),
        ("vesu_positions", journal.positions),
        ("vesu_transactions", journal.transactions),
        ("vesu_liquidations", journal.liquidations),
        ("vesu_event_prices", journal.told_prices),
    )
    return Summary(
        len(decoded),
        _undecoded(decoded),
        tuple(table for table, changes in touched if changes or written.get(table)),
        journal.checks,
        len(journal.mismatches),
        frozenset(key for _, key, _ in journal.assets),
        quarantined_pools,
        positions,
    )


def _undecoded(decoded: Iterable[decoding.Decoded]) -> dict[tuple[str, str, str], int]:
    return dict(
        collections.Counter(
            (
                event.derived.contract,
                event.raw.from_address,
                hex(event.raw.keys[0]) if event.raw.keys else "",
            )
            for event in decoded
            if event.derived.layout is None
        )
    )
