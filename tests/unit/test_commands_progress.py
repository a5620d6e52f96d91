"""Progress as people on a terminal read it, and as logs have it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import structlog

from indexer import values
from indexer.commands import logs, progress


class Terminal:
    """`sys`, where standard error is a terminal."""

    class stderr:  # noqa: N801 - as sys has it
        """Standard error."""

        @staticmethod
        def isatty() -> bool:
            return True


class Clock:
    """The time that progress is measured by."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("indexer.commands.progress.time.monotonic", found)
    return found


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.commands.progress.sys", Terminal)
    monkeypatch.setenv("COLUMNS", "80")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in capsys.readouterr().err.split("\r") if line]


@pytest.mark.usefixtures("terminal")
def test_a_moment_gives_no_rate(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = progress.Blocks("replaying", 1)
    clock.now += 0.00002
    blocks.update(125, 125, 112)
    assert lines(capsys) == ["replaying: block 125 of 125 · 100.0 % · 112 events"]


@pytest.mark.usefixtures("terminal")
def test_rate_and_rest(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = progress.Blocks("replaying", 1)
    clock.now += 10
    blocks.update(100, 4_000, 1)
    clock.now += 390
    blocks.update(4_000, 4_000, 8_000)
    assert lines(capsys) == [
        "replaying: block 100 of 4,000 ·   2.5 % · 1 event · 0 events/s · 6 min left",
        "replaying: block 4,000 of 4,000 · 100.0 % · 8,000 events · 20 events/s",
    ]


@pytest.mark.usefixtures("terminal")
def test_bytes_have_a_unit_and_the_end_no_note(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    counted = progress.Counted("backing up", "bytes")
    clock.now += 2
    counted.update(500_000, 2_588_672, "vesu_pools")
    clock.now += 2
    counted.update(2_588_672, 2_588_672, "watches")
    assert lines(capsys) == [
        "backing up: 500.0 kB of 2.6 MB ·  19.3 % · 250.0 kB/s · 8 s left · vesu_pools",
        "backing up: 2.6 MB of 2.6 MB · 100.0 % · 647.2 kB/s",
    ]


@pytest.mark.usefixtures("terminal")
def test_a_line_is_written_over_whole_and_no_wider_than_the_terminal(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    counted = progress.Counted("maintaining", "steps")
    for done, note in ((1, "VACUUM " + "x" * 90), (3, "")):
        clock.now += 1
        counted.update(done, 3, note)
    first, second = (line for line in capsys.readouterr().err.split("\r") if line)
    assert len(first) == len(second.rstrip("\n")) == 79


@pytest.mark.usefixtures("terminal")
def test_a_log_line_begins_below_the_progress(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up("info", "console")
    blocks = progress.Blocks("indexing", 1)
    clock.now += 1
    blocks.update(20, 60, 7)
    structlog.get_logger("ours").info("committed")
    logging.getLogger("theirs").warning("slow")
    clock.now += 1
    blocks.update(60, 60, 9)
    structlog.get_logger("ours").info("stopped")
    structlog.reset_defaults()
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert [line[:9] for line in lines if line.startswith("indexing")] == ["indexing:"] * 2
    for word in ("committed", "slow", "stopped"):
        (line,) = (line for line in lines if word in line)
        assert "indexing" not in line


def test_a_log_line_has_no_rate_of_a_moment(clock: Clock) -> None:
    said: list[dict[str, Any]]
    with structlog.testing.capture_logs() as said:
        blocks = progress.Blocks("replaying", 1)
        blocks.update(125, 125, 112)
        clock.now += 10
        blocks.update(100, 200, 112)
    assert [(line["events_per_second"], line["eta_seconds"]) for line in said] == [
        (None, None),
        (11, 10),
    ]


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12_345, "12,345 rows")]
)
def test_one_is_not_many(count: int, said: str) -> None:
    assert values.counted(count, "row") == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (2_500, "2.5 kB"),
        (2_588_672, "2.6 MB"),
        (97_000_000_000, "97.0 GB"),
    ],
)
def test_sizes(count: int, said: str) -> None:
    assert values.size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (12, "12 s"),
        (119, "119 s"),
        (180, "3 min"),
        (7_200, "2 h"),
        (22_464_000, "260 days"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert values.duration(seconds) == said
