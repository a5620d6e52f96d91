"""Tables in a terminal of 80 columns: every name is there, and every number is whole."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from tests.acceptance import stage, truth


def in_terminal(environ: dict[str, str], *arguments: str, width: int = 80) -> str:
    """What `vesu-indexer ARGUMENTS` writes to a terminal of this width."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environ = {name: value for name, value in environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "indexer", *arguments],
        env=environ | {"TERM": "xterm"},
        stdin=there,
        stdout=there,
        stderr=subprocess.DEVNULL,
    )
    os.close(there)
    written = bytearray()
    try:
        while piece := os.read(here, 65_536):
            written += piece
    except OSError:
        pass  # The terminal ends with its last writer.
    finally:
        os.close(here)
    assert process.wait(60) == 0
    return written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("command", ["pools", "positions", "assets", "totals", "transactions"])
@pytest.mark.parametrize("width", [40, 80])
def test_names_and_numbers_are_whole(
    recorded: truth.Recorded, indexed_url: str, command: str, width: int
) -> None:
    """Only addresses and hashes are shortened, to their first and last digits."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    shown = in_terminal(environ, command, width=width)
    if command in ("pools", "assets", "totals"):
        for pool in recorded.manifest["pools"].values():
            assert re.search(rf"\b{pool['name'].split()[0]}\b", shown), shown
    assert re.search(r"\b(ETH|USDC)\b", shown), shown
    for shortened in re.findall(r"\S*…\S*", shown):
        assert re.fullmatch(r"0x[0-9a-f]{4}…[0-9a-f]{4}", shortened), shown
