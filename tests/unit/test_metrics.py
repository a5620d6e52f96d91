"""Gauges that are computed when they are read: lag, endpoint in use, age of prices."""

from __future__ import annotations

import math
import time

import prometheus_client
import pytest

from indexer import metrics


def value(name: str, **labels: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value(name, labels)


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just started."""
    monkeypatch.setattr(metrics, "_position", metrics._Position())


def test_lag_is_known_once_both_ends_are() -> None:
    assert math.isnan(value("vesu_lag_blocks") or 0)
    metrics.set_committed(90, 1_700_000_000)
    assert math.isnan(value("vesu_lag_blocks") or 0)
    metrics.set_head(100)
    assert value("vesu_lag_blocks") == 10
    assert value("vesu_committed_block") == 90
    assert value("vesu_committed_block_timestamp_seconds") == 1_700_000_000
    metrics.set_head(80)
    assert value("vesu_lag_blocks") == 0


def test_one_endpoint_is_in_use() -> None:
    metrics.set_endpoint("http://one")
    metrics.set_endpoint("http://two")
    assert value("vesu_endpoint_in_use", endpoint="http://one") == 0
    assert value("vesu_endpoint_in_use", endpoint="http://two") == 1


def test_the_age_of_prices_grows_with_the_clock() -> None:
    assert math.isnan(value("vesu_price_sample_age_seconds") or 0)
    metrics.set_price_sample(int(time.time()) - 100)
    age = value("vesu_price_sample_age_seconds")
    assert age is not None
    assert 100 <= age < 200


def test_the_build_is_named() -> None:
    text = metrics.exposition().decode()
    assert 'vesu_build_info{python="3.' in text
    assert 'version="0.' in text
