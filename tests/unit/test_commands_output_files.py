"""Files that are whole or not there."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest

from indexer import errors
from indexer.commands import output_files


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with output_files.output(path, force=False) as sink:
        sink.write(b"half")
        assert not path.exists()
        sink.write(b" whole")
    assert path.read_bytes() == b"half whole"
    assert sink.bytes == 10
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_it_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def write() -> None:
        with output_files.output(path, force=True) as sink:
            sink.write(b"half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_a_left_part_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".out.part").write_bytes(b"much longer than the new one")
    with output_files.output(tmp_path / "out", force=False) as sink:
        sink.write(b"new")
    assert (tmp_path / "out").read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"

    def write() -> None:
        with output_files.output(path, force=False) as sink:
            sink.write(b"ours")
            path.write_bytes(b"theirs")

    with pytest.raises(errors.ConfigError, match="--force"):
        write()
    assert path.read_bytes() == b"theirs"


def test_what_another_process_just_finished_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets its name between our opening of the part and our lock on it."""
    path = tmp_path / "out"
    other = output_files.partial_file(path, force=True)
    other.__enter__().write_text("whole")
    lock = fcntl.flock

    def late(descriptor: int, how: int) -> Any:
        other.__exit__(None, None, None)
        return lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with (
        pytest.raises(errors.OutputError, match="another process"),
        output_files.partial_file(path, force=True),
    ):
        pass
    assert path.read_text() == "whole"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(errors.OutputError, match="No such file or directory"),
        output_files.partial_file(tmp_path / "nowhere" / "out", force=False),
    ):
        pass
    with (
        pytest.raises(errors.ConfigError, match="is a folder"),
        output_files.partial_file(tmp_path, force=True),
    ):
        pass
