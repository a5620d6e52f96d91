"""The files of the migrations: released ones are never edited, and an install holds them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer import errors
from indexer.store import migrate
from tests import checksums


def test_no_released_migration_was_edited() -> None:
    found = migrate.checksums()
    assert checksums.changed(checksums.read(), found) == []
    assert found.keys() == checksums.read().keys(), "run: python -m tests.checksums"


def test_an_edited_or_missing_migration_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in migrate.folder().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(migrate, "folder", lambda: tmp_path)
    edited, gone = sorted(checksums.read())[:2]
    (tmp_path / edited).write_text("-- edited\n" + (tmp_path / edited).read_text())
    (tmp_path / gone).unlink()
    assert checksums.changed(checksums.read(), migrate.checksums()) == [edited, gone]
    monkeypatch.setattr(checksums, "FILE", tmp_path / "CHECKSUMS")
    assert "never edited" in (checksums.main([]) or "")
    assert checksums.main(["--unreleased"]) is None
    assert checksums.main([]) is None
    assert checksums.changed(checksums.read(), migrate.checksums()) == []


def test_every_migration_has_its_way_back_and_says_what_it_does() -> None:
    for name in migrate.known():
        assert (migrate.folder() / f"{name}.rollback.sql").read_text().strip()
        assert (migrate.folder() / f"{name}.sql").read_text().startswith("-- ")


def test_an_install_without_migrations_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "PACKAGE", tmp_path / "indexer")
    with pytest.raises(errors.SchemaError, match="holds no migrations"):
        migrate.known()
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "9999_of_another_package.sql").touch()
    (tmp_path / "indexer" / "_migrations").mkdir(parents=True)
    (tmp_path / "indexer" / "_migrations" / "0001_ours.sql").touch()
    assert migrate.known() == ["0001_ours"]
