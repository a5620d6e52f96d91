"""`doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import click
import msgspec

from indexer import config, errors, values
from indexer.app import abi_folder, databases, health_ages, networks, nodes
from indexer.audit import indexes
from indexer.chain import capacity, client, types
from indexer.commands import arguments, event_loop, output
from indexer.daemon import contract_check
from indexer.log import cursor, watch_list
from indexer.projections import replay, tables
from indexer.projections.shadow import build
from indexer.query import status
from indexer.store import database, migrate, sqlfile
from indexer.vesu import decoders, kinds

_SQL = sqlfile.load(__package__, "doctor")

CLOCK_SECONDS = 60.0
"""How far ahead of this machine's clock a block's time may lie."""

DISK_BYTES = 5_000_000_000
"""How much room an embedded database should find."""

MOST_EVENTS = 10_000
"""More events of ours than any block holds."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    found: str
    is_good: bool = True


@click.command(epilog="Example: vesu-indexer doctor --config config.toml")
@arguments.options
def command(config_file: Path | None, as_json: bool) -> None:
    """Check configuration, database, migrations, indexes and node, and say what to do.

    Exit code 0: all is well; 1: something is not.
    """
    settings = arguments.settings(config_file)
    findings = [_configuration(settings), _disk(settings)]
    findings += _guarded("database", lambda: _database(settings))
    findings += _guarded("node", lambda: event_loop.run(_node(settings)))
    is_good = all(finding.is_good for finding in findings)
    if as_json:
        output.print_json({"is_good": is_good, "findings": findings})
    else:
        for finding in findings:
            click.echo(
                f"{'ok  ' if finding.is_good else 'FAIL'}  {finding.what:<14} {finding.found}"
            )
    sys.exit(0 if is_good else 1)


def _guarded(check_name: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except errors.IndexerError as error:
        return [Finding(check_name, str(error), is_good=False)]


def _configuration(settings: config.Settings) -> Finding:
    try:
        found = networks.contracts(settings)
        abi_folder.read(settings)
    except errors.ConfigError as error:
        return Finding("configuration", str(error), is_good=False)
    if len(set(settings.node.urls)) < len(settings.node.urls):
        return Finding(
            "configuration",
            "node.urls names an endpoint twice, which is no fallback for itself: remove one",
            is_good=False,
        )
    return Finding(
        "configuration",
        f"network {settings.network.name}, {len(found)} configured "
        f"{'contract' if len(found) == 1 else 'contracts'}, "
        f"first block {networks.start_block(settings):,}",
    )


def _disk(settings: config.Settings) -> Finding:
    """Room for what the indexer itself writes: the embedded database."""
    folder = settings.data_dir
    if folder is None or settings.database.url is not None:
        return Finding("disk", "the database is elsewhere: nothing is kept on this machine")
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    shown = f"{free / 1e9:,.1f} GB free at {folder}"
    if free < DISK_BYTES:
        return Finding(
            "disk",
            f"{shown}, less than {DISK_BYTES / 1e9:,.0f} GB: the embedded database needs room; "
            "set data_dir to a larger disk",
            is_good=False,
        )
    return Finding("disk", shown)


def _database(settings: config.Settings) -> list[Finding]:
    with databases.database_url(settings) as url:
        pending = migrate.pending(url)
        findings = [
            Finding("database", "reachable" if settings.database.url else "embedded, runs"),
            _migrations(url, pending),
        ]
        if not pending:
            findings += event_loop.run(_tables(settings, url))
    return findings


def _migrations(url: str, pending: list[str]) -> Finding:
    if not pending:
        return Finding("migrations", "all applied")
    found = f"{len(pending)} pending: run `vesu-indexer migrate`"
    if in_the_way := migrate.collisions(url):
        found = (
            f"{len(pending)} pending, and {', '.join(in_the_way)} of somebody else's in the way: "
            "name a database or a schema (database.schema) of the indexer's own"
        )
    return Finding("migrations", found, is_good=False)


async def _tables(settings: config.Settings, url: str) -> list[Finding]:
    async with database.session(url) as connection:
        freshness = await status.freshness(connection, health_ages.limits(settings))
        return [
            await _rights(connection),
            await _server(connection),
            await _watch_list(connection, settings),
            await _indexes(connection),
            await _fold(connection),
            await _shadow(connection),
            await _classes(connection),
            _freshness(freshness),
        ]


async def _rights(connection: asyncpg.Connection) -> Finding:
    """The rights of the role; a read-only role is enough for the reading commands."""
    row = await connection.fetchrow(_SQL["rights"])
    assert row is not None  # a SELECT without FROM
    if row["is_read_only"]:
        return Finding("rights", "reads: the database takes no writes, as a standby does")
    if row["may_create"] and row["may_write"]:
        return Finding("rights", f"role {row['role']} may create, write and read")
    lacks = "create tables" if row["may_write"] else "write"
    return Finding(
        "rights",
        f"role {row['role']} may read, but not {lacks}: enough to serve and ask; to run, GRANT "
        f"CREATE ON SCHEMA {row['schema']} and the tables' rights (docs/operations.md, Roles)",
    )


async def _server(connection: asyncpg.Connection) -> Finding:
    """Settings of PostgreSQL that hurt, each with its remedy."""
    hurting = [row["finding"] for row in await connection.fetch(_SQL["settings"])]
    version = connection.get_server_version()
    return Finding(
        "server",
        "; ".join(hurting) or f"PostgreSQL {version.major}.{version.micro}, settings fit",
        is_good=not hurting,
    )


async def _watch_list(connection: asyncpg.Connection, settings: config.Settings) -> Finding:
    """Whether the database was filled with the contracts that are configured."""
    compared = await watch_list.compare(connection, networks.watched_contracts(settings))
    if sentence := compared.sentence():
        return Finding("watch list", sentence, is_good=False)
    return Finding("watch list", "the configured contracts are those of the database")


async def _fold(connection: asyncpg.Connection) -> Finding:
    committed = await cursor.read(connection)
    reason = None if committed is None else replay.outdated(committed)
    return Finding("fold", reason or f"version {tables.FOLD_VERSION}", reason is None)


async def _indexes(connection: asyncpg.Connection) -> Finding:
    report = await indexes.check(connection)
    bad = report.missing + report.invalid + report.differing
    return Finding(
        "indexes",
        f"missing, invalid or of another definition: {', '.join(bad)}; "
        "`vesu-indexer verify-indexes` says how to mend it"
        if bad
        else f"all {report.expected} present",
        report.is_good,
    )


async def _shadow(connection: asyncpg.Connection) -> Finding:
    block = await build.left_at(connection)
    if block is None:
        return Finding("shadow", "none")
    return Finding(
        "shadow",
        f"stands at block {block:,}: of a replay that runs, was killed or was told to keep it; "
        "start that replay again to go on with it, or `vesu-indexer replay --discard`",
    )


def _freshness(freshness: status.Freshness) -> Finding:
    if freshness.committed_block is None:
        return Finding("tables", "empty: run `vesu-indexer run`")
    detail = (
        "; ".join(f"{reason.reason} ({reason.remedy})" for reason in freshness.reasons)
        or freshness.reason
    )
    return Finding("tables", f"block {freshness.committed_block:,}: {detail}", freshness.is_fresh)


async def _classes(connection: asyncpg.Connection) -> Finding:
    """Whether the contracts' classes are ones that this release knows."""
    strange = await status.unknown_classes(connection)
    if not strange:
        return Finding("classes", "every class that a node named is known")
    detail = ", ".join(
        f"{unknown_class.kind} {unknown_class.address}: {unknown_class.class_hash}"
        for unknown_class in strange
    )
    return Finding(
        "classes",
        f"not known to this release, so that their events may mean something else: {detail}; is "
        "there a newer release?",
        is_good=all(unknown_class.kind == kinds.Kind.POOL_V2 for unknown_class in strange),
    )


async def _node(settings: config.Settings) -> list[Finding]:
    node = await nodes.node(settings)
    try:
        head = await node.head()
        finalised = await node.finalised()
        finding = await _events(settings, node, head.number)
        sizes = await capacity.measure(node.source, head.number)
        standing = await _contracts(settings, node, head.number)
    finally:
        await node.close()
    profile = node.profile
    speaks = Finding(
        "node",
        f"RPC {profile.spec_version}, head block {head.number:,}, "
        f"{'no block' if finalised is None else f'block {finalised:,}'} accepted on L1, "
        f"address lists {'yes' if profile.address_lists else 'no'}, "
        f"batches {'yes' if sizes.calls > 1 else 'no'}; {sizes.sentence()}"
        + (f"; through the proxy {proxy}" if (proxy := node.source.endpoint.proxy) else ""),
    )
    return [speaks, _clock(head), standing, finding]


def _clock(head: types.BlockHeader) -> Finding:
    """The head's time must not lie ahead of this machine's clock."""
    ahead = head.timestamp - time.time()
    if ahead > CLOCK_SECONDS:
        return Finding(
            "clock",
            f"the head's time is {values.duration(ahead)} ahead of this machine's clock, so lag "
            "and age are wrong: set the clock (NTP)",
            is_good=False,
        )
    age = values.duration(max(-ahead, 0))
    return Finding("clock", f"the head block is {age} old by this machine's clock")


async def _contracts(settings: config.Settings, node: client.StarknetNode, block: int) -> Finding:
    """Whether there is a contract at every configured address."""
    configured = networks.watched_contracts(settings)
    reached = [contract for contract in configured if contract.from_block <= block]
    for contract in reached:
        try:
            found = await node.class_hash(contract.address)
        except errors.RpcError as error:
            return Finding(
                "contracts", f"not checked: the node cannot tell their classes ({error})"
            )
        if found is None:
            return Finding("contracts", contract_check.missing(contract, block), is_good=False)
    later = len(configured) - len(reached)
    return Finding(
        "contracts",
        f"{len(reached)} of {len(configured)} stand at their addresses"
        + (f", {later} start above the head" if later else ""),
    )


async def _events(settings: config.Settings, node: client.StarknetNode, block: int) -> Finding:
    """What the configured contracts said in a block, and whether all of it can be decoded."""
    kinds = {entry.address: entry.kind for entry in networks.contracts(settings)}
    events = await node.source.events(block, block, list(kinds), MOST_EVENTS)
    named: dict[str, list[str]] = {}
    strange = 0
    for raw in events:
        kind = kinds[int(raw.from_address, 16)]
        try:
            decoded = decoders.decode(kind, raw.keys, raw.data)
        except errors.UndecodableEventError:
            decoded = None
        strange += decoded is None
        named.setdefault(kind.value, []).append(decoded.name if decoded else "unknown")
    detail = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in named.items())
    return Finding(
        "events",
        f"block {block:,}: {detail or 'none of the configured contracts'}"
        + (f"; {strange} cannot be decoded: is this version new enough?" if strange else ""),
        is_good=not strange,
    )
