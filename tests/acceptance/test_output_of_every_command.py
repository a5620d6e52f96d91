"""Every command with each stream full, closed, without a reader, or in an encoding without letters.

What a command does with its streams untouched is what it is held against.
"""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from indexer import cli
from tests.acceptance import stage, truth

pytestmark = pytest.mark.heavy

SEED = 20283
ZEROS = "0x" + "0" * 63 + "1"
ARGUMENTS: dict[str, list[str]] = {
    "run": ["run", "--until-block", "1", "--no-serve"],
    "serve": ["serve", "--help"],
    "reorg": ["reorg", "--to-block", "120"],
    "replay": ["replay", "--help"],
    "demo": ["demo", "--help"],
    "migrate": ["migrate", "--list"],
    "verify": ["verify", "--to-block", "90"],
    "reconcile": ["reconcile"],
    "position": ["position", ZEROS],
    "portfolio": ["portfolio", ZEROS],
    "simulate": ["simulate", ZEROS, "--help"],
    "quote": ["quote", ZEROS],
    "watch": ["watch", ZEROS, "--timeout", "1"],
    "export": ["export", "vesu_positions", "--format", "ndjson", "--out", "-"],
    "backup": ["backup", "--help"],
    "restore": ["restore", "/nonexistent"],
    "maintenance": ["maintenance", "--help"],
}
"""What a command is called with; the others with nothing."""

STREAMS = {
    "stdout full": (">/dev/full", ""),
    "stdout closed": (">&-", ""),
    "stdout without a reader": ("> >(exec true)", "sleep 0.3; "),
    "stderr full": ("2>/dev/full", ""),
    "stderr closed": ("2>&-", ""),
    "both full": (">/dev/full 2>/dev/full", ""),
}
FULL = "error: cannot write standard output: No space left on device"


def run(
    environ: dict[str, str], command: str, redirect: str = "", before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command under a shell that redirects its streams."""
    arguments = " ".join(ARGUMENTS.get(command, [command]))
    line = f'{before}exec "{sys.executable}" -m indexer {arguments} {redirect}'
    return subprocess.run(
        ["bash", "-c", line],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        errors="surrogateescape",
    )


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_with_streams_that_take_nothing(
    recorded: truth.Recorded, indexed_copy: str, command: str
) -> None:
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_copy)
    environ["VESU_NODE_START_TIMEOUT_SECONDS"] = "1"
    untouched = run(environ, command)
    assert "Traceback" not in untouched.stderr
    dice = random.Random(f"{SEED}-{command}")
    for name in dice.sample(sorted(STREAMS), 4):
        redirect, before = STREAMS[name]
        done = run(environ, command, redirect, before)
        print(f"seed {SEED}: {command}, {name}: {done.returncode}, {done.stderr!r}")
        assert "Traceback" not in done.stderr
        assert "internal error" not in done.stderr
        if untouched.stdout and ("stdout" in name or "both" in name):
            allowed = (141,) if "full" not in name else (3,)
            # A short answer may have been taken before its reader went away.
            allowed += (untouched.returncode,) if "reader" in name else ()
            assert done.returncode in allowed
            assert not done.stderr or done.stderr.splitlines()[-1] == FULL or "reader" in name
        else:
            assert done.returncode == untouched.returncode


@pytest.mark.parametrize("variant", range(8))
def test_every_encoding_gets_replacements(
    recorded: truth.Recorded, indexed_url: str, variant: int
) -> None:
    dice = random.Random(f"{SEED}-{variant}")
    names = ["latin-1", "ascii", "cp1252", "koi8-r", "euc-jp", "shift-jis", "utf-16", "cp437"]
    encoding = names[variant]
    chosen = dice.choice(["positions", "pools", "assets", "events", "status", "--help"])
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    drawn = dice.choice(
        [{"PYTHONIOENCODING": encoding}, {"PYTHONIOENCODING": f"{encoding}:strict"}]
    )
    print(f"seed {SEED}: {chosen}, {drawn}")
    done = subprocess.run(
        [sys.executable, "-m", "indexer", chosen],
        env=environ | drawn | {"LC_ALL": "C", "LANG": "C"},
        capture_output=True,
        timeout=120,
    )
    assert done.stderr == b""
    assert done.returncode in (0, 1)
    assert done.stdout.decode(encoding)
