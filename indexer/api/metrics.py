"""What the indexer counts, in Prometheus' terms. One registry a process."""

from __future__ import annotations

import prometheus_client

head_block = prometheus_client.Gauge("vesu_head_block", "Head that the node last told")
committed_block = prometheus_client.Gauge("vesu_committed_block", "Last committed block")
committed_timestamp = prometheus_client.Gauge(
    "vesu_committed_block_timestamp_seconds", "Time of the last committed block"
)
events_total = prometheus_client.Counter("vesu_events", "Events committed")
undecoded_total = prometheus_client.Counter(
    "vesu_undecoded_events", "Events of known contracts that could not be decoded"
)
accruals_checked = prometheus_client.Counter(
    "vesu_accruals_checked", "Accruals of V1 compared with the fold's prediction"
)
accruals_wrong = prometheus_client.Counter(
    "vesu_accruals_wrong", "Numbers of accruals that the fold predicted otherwise"
)
reorgs_total = prometheus_client.Counter("vesu_reorgs", "Reorganisations gone through")
node_failures = prometheus_client.Counter(
    "vesu_node_failures", "Looks at the chain that failed and will be repeated"
)
commit_seconds = prometheus_client.Histogram(
    "vesu_commit_seconds", "Seconds from a range read to its commit"
)


def exposition() -> bytes:
    """All metrics in the text format."""
    return prometheus_client.generate_latest()
