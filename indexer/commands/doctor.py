"""`doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import click
import msgspec

from indexer import app, config, errors
from indexer.audit import indexes
from indexer.chain import capacity, client
from indexer.commands import arguments, event_loop, output
from indexer.log import cursor
from indexer.projections import replay, tables
from indexer.projections.shadow import build
from indexer.query import status
from indexer.store import database, migrate
from indexer.vesu import decoders

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
    findings = [_configuration(settings)]
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


def _guarded(what: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except errors.IndexerError as error:
        return [Finding(what, str(error), is_good=False)]


def _configuration(settings: config.Settings) -> Finding:
    try:
        found = app.contracts(settings)
    except errors.ConfigError as error:
        return Finding("configuration", str(error), is_good=False)
    return Finding(
        "configuration",
        f"network {settings.network.name}, {len(found)} contracts to start from, "
        f"first block {app.start_block(settings):,}",
    )


def _database(settings: config.Settings) -> list[Finding]:
    with app.database_url(settings) as url:
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
        found = await status.freshness(connection, app.health_limits(settings))
        return [
            await _indexes(connection),
            await _fold(connection),
            await _shadow(connection),
            _freshness(found),
        ]


async def _fold(connection: asyncpg.Connection) -> Finding:
    stands = await cursor.read(connection)
    reason = None if stands is None else replay.outdated(stands)
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


def _freshness(found: status.Freshness) -> Finding:
    if found.committed_block is None:
        return Finding("tables", "empty: run `vesu-indexer run`")
    return Finding("tables", f"block {found.committed_block:,}: {found.reason}", found.is_fresh)


async def _node(settings: config.Settings) -> list[Finding]:
    node = await app.node(settings)
    try:
        head = await node.head()
        finalised = await node.finalised()
        said = await _events(settings, node, head.number)
        sizes = await capacity.measure(node.source, head.number)
    finally:
        await node.close()
    profile = node.profile
    speaks = Finding(
        "node",
        f"RPC {profile.spec_version}, head {head.number:,}, final {finalised}, "
        f"address lists {'yes' if profile.address_lists else 'no'}, "
        f"batches {'yes' if sizes.calls > 1 else 'no'}; {sizes.sentence()}"
        + (f"; through the proxy {proxy}" if (proxy := node.source.endpoint.proxy) else ""),
    )
    return [speaks, said]


async def _events(settings: config.Settings, node: client.StarknetNode, block: int) -> Finding:
    """What the configured contracts said in a block, and whether all of it can be decoded."""
    kinds = {entry.address: entry.kind for entry in app.contracts(settings)}
    found = await node.source.events(block, block, list(kinds), MOST_EVENTS)
    named: dict[str, list[str]] = {}
    strange = 0
    for raw in found:
        kind = kinds[int(raw.from_address, 16)]
        try:
            decoded = decoders.decode(kind, raw.keys, raw.data)
        except errors.UndecodableEventError:
            decoded = None
        strange += decoded is None
        named.setdefault(kind.value, []).append(decoded.name if decoded else "unknown")
    said = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in named.items())
    return Finding(
        "events",
        f"block {block:,}: {said or 'none of the configured contracts'}"
        + (f"; {strange} cannot be decoded: is this version new enough?" if strange else ""),
        is_good=not strange,
    )
