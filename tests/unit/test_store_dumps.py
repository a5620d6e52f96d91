"""Which pg_dump and pg_restore are chosen, and what is said where none fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer import errors
from indexer.store import binaries, dumps


def there_are(monkeypatch: pytest.MonkeyPatch, *majors: int) -> None:
    found = [(major, Path(f"/pg{major}/bin/program")) for major in majors]
    monkeypatch.setattr(binaries, "clients", lambda program: found)


@pytest.mark.parametrize(
    ("majors", "server", "chosen"),
    [
        ((18, 15, 16), 15, 15),
        ((18, 16), 15, 16),
        ((18, 16), 17, 18),
        ((18, 16), 18, 18),
    ],
)
def test_pg_dump_is_of_the_servers_version_or_the_next(
    monkeypatch: pytest.MonkeyPatch, majors: tuple[int, ...], server: int, chosen: int
) -> None:
    there_are(monkeypatch, *majors)
    assert dumps.dumper(server).major == chosen


def test_an_older_pg_dump_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    there_are(monkeypatch, 15, 16)
    with pytest.raises(errors.BackupError, match=r"postgresql-client-17") as caught:
        dumps.dumper(17)
    assert "15 is in /pg15/bin, 16 is in /pg16/bin" in str(caught.value)
    there_are(monkeypatch)
    with pytest.raises(errors.BackupError, match="there is none"):
        dumps.dumper(13)


@pytest.mark.parametrize(
    ("majors", "server", "dumped_by", "chosen"),
    [
        ((18, 16, 15), 15, 15, 15),
        ((18, 16, 15), 15, 16, 16),
        ((18, 16, 15), 18, 15, 18),
        ((18, 16), 17, 16, 16),
        ((18, 16), 13, 16, 16),
    ],
)
def test_pg_restore_reads_the_archive_and_suits_the_server(
    monkeypatch: pytest.MonkeyPatch,
    majors: tuple[int, ...],
    server: int,
    dumped_by: int,
    chosen: int,
) -> None:
    there_are(monkeypatch, *majors)
    assert dumps.restorer(server, dumped_by).major == chosen


@pytest.mark.parametrize(
    ("server", "dumped_by", "said"),
    [
        (16, 18, "restore into PostgreSQL 17 or newer"),
        (16, 16, "postgresql-client-16"),
        (18, 19, "postgresql-client-19"),
    ],
)
def test_where_no_pg_restore_fits(
    monkeypatch: pytest.MonkeyPatch, server: int, dumped_by: int, said: str
) -> None:
    there_are(monkeypatch, 15, 18)
    with pytest.raises(errors.BackupError, match=said):
        dumps.restorer(server, dumped_by)


def test_the_programs_of_this_machine_are_found_once_each() -> None:
    found = binaries.clients("pg_dump")
    assert {16, 18} <= {major for major, _ in found}
    assert len({path for _, path in found}) == len(found)
    assert all(path.name == "pg_dump" for _, path in found)
