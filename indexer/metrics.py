"""What the indexer counts, in Prometheus' terms. One registry a process."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Collection, Iterable, Mapping

import msgspec
import prometheus_client


class _Position(msgspec.Struct):
    """What the gauges below are computed from; None: not known yet."""

    committed: int | None = None
    head: int | None = None
    price_sampled_at: int | None = None


_position = _Position()
_UNKNOWN = float("nan")

build = prometheus_client.Info("vesu_build", "Version of the indexer and of Python")
build.info(
    {"version": importlib.metadata.version("vesu-indexer"), "python": platform.python_version()}
)
head_block = prometheus_client.Gauge("vesu_head_block", "Head that the node last reported")
committed_block = prometheus_client.Gauge("vesu_committed_block", "Last committed block")
committed_timestamp = prometheus_client.Gauge(
    "vesu_committed_block_timestamp_seconds", "Time of the last committed block"
)
lag_blocks = prometheus_client.Gauge(
    "vesu_lag_blocks", "Blocks from the committed block to the head; NaN: not known yet"
)
endpoint_in_use = prometheus_client.Gauge(
    "vesu_endpoint_in_use", "1 for the node endpoint that is read from", ["endpoint"]
)
price_age = prometheus_client.Gauge(
    "vesu_price_sample_age_seconds",
    "Seconds since the block at which oracle prices were sampled last; NaN: never",
)
events_total = prometheus_client.Counter("vesu_events", "Events committed")
undecoded_total = prometheus_client.Counter(
    "vesu_undecoded_events",
    "Events of known contracts that could not be decoded",
    ("contract", "address", "selector"),
)
accruals_checked = prometheus_client.Counter(
    "vesu_accruals_checked", "Accruals of V1 compared with the fold's prediction"
)
accruals_wrong = prometheus_client.Counter(
    "vesu_accruals_wrong", "Numbers of accruals that the fold predicted otherwise"
)
reorgs_total = prometheus_client.Counter("vesu_reorgs", "Reorganisations gone through")
repairs_total = prometheus_client.Counter(
    "vesu_repairs", "Rollbacks because the log was not what the chain has"
)
completeness_gaps = prometheus_client.Gauge(
    "vesu_completeness_gaps",
    "Events in which the log was found to differ from the chain: open, or repaired since",
    ["state"],
)
watches_pending = prometheus_client.Gauge(
    "vesu_watches_pending", "Watched transactions that no committed block has decided"
)
verified_blocks = prometheus_client.Gauge(
    "vesu_verified_blocks", "Committed blocks by how their completeness is known", ["method"]
)
unproved_blocks = prometheus_client.Gauge(
    "vesu_unproved_blocks", "Committed blocks not proved one by one: sampled or never looked at"
)
reorg_depth = prometheus_client.Histogram(
    "vesu_reorg_depth_blocks",
    "Blocks that a reorganisation took back",
    buckets=(1, 2, 5, 10, 50, 200, 1_000, 5_000, 20_000),
)
node_trouble = prometheus_client.Counter(
    "vesu_node_trouble",
    "Failures of a node by kind and by what was done about them",
    ["endpoint", "kind", "outcome"],
)
requests_per_second = prometheus_client.Gauge(
    "vesu_node_requests_per_second",
    "Requests a second that an endpoint is sent at most: fewer than configured while it is busy",
    ["endpoint"],
)
quarantined_pools = prometheus_client.Gauge(
    "vesu_quarantined_pools", "Pools frozen because they contradicted themselves"
)
unknown_classes = prometheus_client.Gauge(
    "vesu_unknown_classes", "Contracts whose class this release does not know"
)
suspect = prometheus_client.Gauge(
    "vesu_chain_suspect", "1 while it is not decided whether the chain holds the committed block"
)
database_failures = prometheus_client.Counter(
    "vesu_database_failures", "Sessions with the database that were lost or could not begin"
)
views_unanswered_total = prometheus_client.Counter(
    "vesu_views_unanswered", "Views given up because no endpoint answered them, and all did others"
)
samples_failed = prometheus_client.Counter(
    "vesu_samples_failed", "Oracle prices and rate models that a sample did not get an answer for"
)
commit_seconds = prometheus_client.Histogram(
    "vesu_commit_seconds", "Seconds from a range read to its commit"
)
invariant_breaks_total = prometheus_client.Counter(
    "vesu_invariant_breaks", "Sums over the tables that were found not to agree after a batch"
)
invariant_breaks_standing = prometheus_client.Gauge(
    "vesu_invariant_breaks_standing", "Sums over the tables that do not agree now"
)
reconciled_standing = prometheus_client.Gauge(
    "vesu_differences_standing", "Values known to differ from the contracts' own views"
)
reconciled_values = prometheus_client.Counter(
    "vesu_reconciled_values", "Values held against the contracts' own views in the background"
)
reconciled_differences = prometheus_client.Counter(
    "vesu_reconciled_differences", "Values that differed from the contracts' own views"
)
reconciliations_failed = prometheus_client.Counter(
    "vesu_reconciliations_failed", "Background checks that the node or a reorganisation broke off"
)


def _lag() -> float:
    if _position.committed is None or _position.head is None:
        return _UNKNOWN
    return float(max(_position.head - _position.committed, 0))


def _price_age() -> float:
    sampled_at = _position.price_sampled_at
    return _UNKNOWN if sampled_at is None else max(time.time() - sampled_at, 0.0)


lag_blocks.set_function(_lag)
price_age.set_function(_price_age)


def set_head(number: int) -> None:
    """The head that the node reported."""
    _position.head = number
    head_block.set(number)


def set_committed(number: int, timestamp: int | None) -> None:
    """The committed block and its time; after a start those of the cursor."""
    _position.committed = number
    committed_block.set(number)
    committed_timestamp.set(timestamp or 0)


def set_endpoint(name: str) -> None:
    """The endpoint that is read from, without its secrets; the one before it is 0."""
    for labels in list(endpoint_in_use._metrics):
        endpoint_in_use.labels(*labels).set(0)
    endpoint_in_use.labels(name).set(1)


def set_price_sample(timestamp: int | None) -> None:
    """The time of the block at which prices were sampled last."""
    _position.price_sampled_at = timestamp


UNDECODED_SERIES = 100
"""How many contracts and selectors are counted apart; a hostile contract may invent more."""

_undecoded: set[tuple[str, str, str]] = set()


def count_undecoded(found: Mapping[tuple[str, str, str], int]) -> None:
    """Count events that could not be decoded, by (kind, address, selector)."""
    for labels, count in found.items():
        if labels in _undecoded or len(_undecoded) < UNDECODED_SERIES:
            _undecoded.add(labels)
            undecoded_total.labels(*labels).inc(count)
        else:
            undecoded_total.labels(labels[0], "other", "other").inc(count)


def unhealthy(names: Iterable[str], present: Collection[str]) -> bytes:
    """vesu_unhealthy in the text format: 1 for each reason that is present, 0 for the others."""
    registry = prometheus_client.CollectorRegistry()
    gauge = prometheus_client.Gauge(
        "vesu_unhealthy", "1 where the reason makes /health bad", ["reason"], registry=registry
    )
    for name in names:
        gauge.labels(name).set(name in present)
    return prometheus_client.generate_latest(registry)


def exposition() -> bytes:
    """All metrics in the text format."""
    return prometheus_client.generate_latest()
