"""The reasons besides age that make the tables unhealthy: failed proofs, and their remedies.

Health is the conjunction of all proofs: each reason is named, and none hides another.
"""

from __future__ import annotations

from typing import Literal

import asyncpg
import msgspec

from indexer import values
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "health")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

Name = Literal[
    "starting",
    "database",
    "nothing_committed",
    "suspect_chain",
    "log_gap",
    "node",
    "behind",
    "standstill",
    "differences",
    "broken_sums",
    "quarantined_pools",
    "check_not_done",
    "stale_prices",
]
NAMES: tuple[Name, ...] = Name.__args__  # type: ignore[attr-defined]
"""Every possible reason, as the metrics label them."""

REMEDIES: dict[Name, str] = {
    "starting": "wait; `vesu-indexer doctor` says what a start may be waiting for",
    "database": "start the database or mend its address; `vesu-indexer migrate` makes the tables",
    "nothing_committed": "wait for the first commit of `run`; `vesu-indexer doctor` says more",
    "suspect_chain": "configure a second endpoint in node.urls, or wait until the node is decided",
    "log_gap": "nothing: `run` repairs it; if it does not pass, `vesu-indexer verify --repair`",
    "node": "look after the node, or configure another one in node.urls",
    "behind": "wait, or look at the log of `vesu-indexer run` for what holds it up",
    "standstill": "look whether the chain or the node stands still",
    "differences": "`vesu-indexer reconcile` lists them; `replay --shadow` says whether the log "
    "gives other rows, and `replay` makes them",
    "broken_sums": "`vesu-indexer audit` shows them; `verify` proves the log, `replay` makes the "
    "tables anew from it",
    "quarantined_pools": "a release that understands the pool, then `vesu-indexer replay`; or take "
    "it from the listed pools",
    "check_not_done": "mend what the reason says; the next check that is done takes it away",
    "stale_prices": "look after the node, which does not answer `price`; see prices.sample_seconds",
}

UNKNOWN_EXTENSION = (
    "configure the extension in network.contracts: nobody else is asked for the pool's prices; or "
    "take the pool from the listed pools"
)
"""The remedy for prices of V1 pools whose extension is none of the configured contracts."""


class Reason(msgspec.Struct, frozen=True):
    """One thing that makes the tables unhealthy, and what to do about it."""

    name: Name
    reason: str
    remedy: str


def reason(name: Name, text: str) -> Reason:
    """A reason with its remedy."""
    return Reason(name, text, REMEDIES[name])


async def failed_proofs(connection: Connection, price_seconds: float) -> list[Reason]:
    """The proofs that fail now of listed pools; 0 seconds: a price of any age will do."""
    found = []
    standing = await connection.fetchrow(_SQL["differences"])
    if standing is not None and standing["differences"]:
        found.append(reason("differences", differences(standing)))
    sums = await connection.fetchrow(_SQL["broken_sums"])
    if sums is not None and sums["count"]:
        found.append(reason("broken_sums", _broken(sums)))
    frozen = await connection.fetchrow(_SQL["quarantined"])
    if frozen is not None and frozen["count"]:
        found.append(reason("quarantined_pools", _frozen(frozen)))
    failed = await connection.fetch(_SQL["failed_checks"])
    found += [reason("check_not_done", _not_done(row)) for row in failed]
    if price_seconds:
        stale = await connection.fetch(_SQL["stale_prices"], price_seconds)
        found += [_stale(row) for row in stale]
    return found


def differences(row: asyncpg.Record) -> str:
    """What the last checks found in the tables, in one line."""
    return (
        f"{values.counted(row['differences'], 'value')} in {values.counted(row['rows'], 'row')} "
        "not equal to the contracts' own, first seen at block "
        f"{row['block_number']:,}: `vesu-indexer reconcile` lists them"
    )


def _broken(row: asyncpg.Record) -> str:
    return (
        f"{values.counted(row['count'], 'sum')} over the tables broken, since block "
        f"{row['since_block']:,}: {row['first']}"
    )


def _frozen(row: asyncpg.Record) -> str:
    frozen = values.counted(row["count"], "listed pool is frozen", "listed pools are frozen")
    return f"{frozen}: {row['first']}: {row['reason']}"


def _not_done(row: asyncpg.Record) -> str:
    return (
        f"the check {row['name']} could not be done {values.counted(row['failures'], 'time')} in a "
        "row: "
        f"{row['reason']}"
    )


def _stale(row: asyncpg.Record) -> Reason:
    text = (
        f"stale in listed pools: {values.counted(row['count'], 'price')}; the oldest, "
        f"{row['first']}, lacked a newer one for {values.duration(row['oldest'])} at the committed "
        "block"
    )
    if row["is_unknown"]:
        return Reason("stale_prices", text, UNKNOWN_EXTENSION)
    return reason("stale_prices", text)
