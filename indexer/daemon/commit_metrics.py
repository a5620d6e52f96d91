"""What a commit changed, counted in the metrics and told to the log."""

from __future__ import annotations

import structlog

from indexer import metrics
from indexer.daemon import writer as writers
from indexer.log import cursor

log = structlog.get_logger(__name__)


def count(done: writers.Committed, position: cursor.Cursor, seconds: float) -> None:
    """Count a commit in the metrics and the log."""
    summary = done.summary
    metrics.set_committed(position.block_number, position.timestamp)
    metrics.events_total.inc(summary.events)
    metrics.count_undecoded(summary.undecoded)
    metrics.accruals_checked.inc(summary.accruals_checked)
    metrics.accruals_wrong.inc(summary.accruals_wrong)
    metrics.quarantined_pools.set(summary.quarantined_pools)
    metrics.commit_seconds.observe(seconds)
    metrics.invariant_breaks_standing.set(done.sums.standing)
    for broken in done.sums.new:
        metrics.invariant_breaks_total.inc()
        log.error("sum_broken", what=broken.what, found=broken.found, expected=broken.expected)
    log.debug("committed", block=position.block_number, events=summary.events)
