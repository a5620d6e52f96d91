"""A chain made by hand, committed by the daemon's own writer in batches of any cut, and replayed.

Two pools of one factory: `OURS` belongs to honest people, `THEIRS` to a stranger.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import asyncpg

from indexer import errors
from indexer.cairo import selector, view_call
from indexer.chain import types
from indexer.daemon import writer as writers
from indexer.projections import engine as engines
from indexer.projections import replay, tables
from indexer.projections.shadow import build
from indexer.store import database
from indexer.vesu import discovery, kinds

FACTORY, OURS, THEIRS = 0xFAC, 0x9001, 0x9002
ETH, USDC = 0xE, 0xC
V_OURS, V_THEIRS, NAMED = 0x7E1, 0x7E2, 0xBAD
ALICE, BOB, MALLORY = 0xA11CE, 0xB0B, 0x3A1107
CHAIN = "0x534e5f5345504f4c4941"
START = 1_700_000_000

LOOKS = 5
"""How often a batch is tried again that lacks an answer."""

Sent = tuple[int, str, Sequence[int], Sequence[int]]
"""Emitter, name, keys after the selectors, data."""

Block = Sequence[Sent]

PREFIXES = {"SetInterestRateConfig": "InterestRateModelEvents/SetInterestRateConfig"}
"""Events of a component; what V1's extensions emit names its component itself."""

OF_A_POOL = {
    "vesu_pools": "pool_id",
    "vesu_assets": "pool_id",
    "vesu_positions": "pool_id",
    "vesu_transactions": "pool_id",
    "vesu_liquidations": "pool_id",
    "vesu_pool_history": "pool_id",
    "vesu_asset_history": "pool_id",
    "vesu_position_history": "pool_id",
    "accrual_mismatches": "pool_id",
    "contracts": "pool_address",
    "contract_history": "pool_address",
}
"""Tables with rows of a pool, and the column that names it."""


def u256(*numbers: int) -> list[int]:
    """Numbers as felts."""
    return [half for number in numbers for half in (number % (1 << 128), number >> 128)]


def i257(*numbers: int) -> list[int]:
    """Signed numbers as felts."""
    return [felt for one in numbers for felt in (*u256(abs(one)), int(one < 0))]


def config(block: int, **changes: int) -> list[int]:
    """An AssetConfig as it stands after a block's accrual; nothing is lent."""
    values = {
        "total_collateral_shares": 10**21,
        "total_nominal_debt": 0,
        "reserve": 10**21,
        "max_utilization": 10**18,
        "floor": 0,
        "scale": 10**18,
        "is_legacy": 0,
        "last_updated": START + block,
        "last_rate_accumulator": 10**18,
        "last_full_utilization_rate": 10**9,
        "fee_rate": 10**17,
        "fee_shares": 0,
    } | changes
    felts = []
    for name, value in values.items():
        felts += [value] if name in ("is_legacy", "last_updated") else u256(value)
    return felts


def context(pool: int, block: int, price: int = 10**18, **changes: int) -> Sent:
    """An UpdateContext of a pool's pair, its collateral side changed."""
    data = [*config(block, **changes), *config(block), *u256(price), 1, *u256(10**18), 1]
    return (pool, "UpdateContext", [ETH, USDC], data)


def modify(pool: int, user: int, shares: int, nominal: int = 0, asset: int = ETH) -> Sent:
    """A position's change."""
    return (pool, "ModifyPosition", [asset, USDC, user], i257(shares, shares, nominal, nominal))


def text(raw: bytes) -> list[int]:
    """A short ByteArray."""
    return [0, int.from_bytes(raw), len(raw)]


def created(pool: int, v_token: int, block: int = 1, asset: int = ETH) -> list[Sent]:
    """A pool with two assets and a vToken, as the factory makes it in one transaction."""
    return [
        (pool, "OwnershipTransferred", [0, FACTORY], []),
        (FACTORY, "CreatePool", [pool, 0x506F6F6C, 1, 2, 3], []),
        (pool, "SetAssetConfig", [asset], config(block)),
        (pool, "SetAssetConfig", [USDC], config(block)),
        (FACTORY, "AddAsset", [pool, asset], []),
        (FACTORY, "CreateVToken", [pool, asset, v_token, *text(b"vETH"), *text(b"vETH")], []),
        (pool, "SetPairConfig", [asset, USDC], [8 * 10**17, 9 * 10**17, 0]),
    ]


HONEST: list[Block] = [
    [*created(OURS, V_OURS), *created(THEIRS, V_THEIRS)],
    [context(OURS, 2), modify(OURS, ALICE, 10**18, 10**17)],
    [(V_OURS, "Transfer", [0, BOB], u256(500))],
    [context(OURS, 4), modify(OURS, BOB, 10**18)],
    [(V_OURS, "Transfer", [BOB, ALICE], u256(200))],
]
"""Blocks 1 to 5: both pools are made, people use OURS."""

NAMED_LATER = [
    *HONEST,
    [modify(OURS, NAMED, 10**18)],
    [
        (
            FACTORY,
            "UpdateVToken",
            [OURS, ETH, V_OURS, NAMED],
            [],
        )
    ],
    [context(OURS, 8), modify(OURS, NAMED, 10**18)],
]
"""A wallet opens a position in block 6, and block 7 names it as a vToken."""


def with_event(block: int, *sent: Sent, blocks: Sequence[Block] = HONEST) -> list[Block]:
    """The chain grown by events at the end of a block."""
    return [[*one, *(sent if number == block else ())] for number, one in enumerate(blocks, 1)]


Roots = Sequence[tuple[int, discovery.Known]]
"""The contracts that are ours from the start."""


class Node:
    """Answers every view with the same felts; nobody else is asked."""

    def __init__(self, answer: Sequence[int] = (0x12,)) -> None:
        self._answer = list(answer)

    async def calls(self, calls: Sequence[view_call.ViewCall], _: object) -> list[list[int]]:
        """The answers, one a call."""
        return [self._answer for _ in calls]

    async def calls_elsewhere(
        self, calls: Sequence[view_call.ViewCall], hashes: object
    ) -> list[list[int]]:
        """A second endpoint answers as the first."""
        return await self.calls(calls, hashes)

    def seconds_for(self, _: int) -> float:
        """It takes any number of requests a second."""
        return 0.0


def header(number: int) -> types.BlockHeader:
    """The header of a block."""
    return types.BlockHeader(
        number, hex(number), hex(number - 1), START + number, "ACCEPTED_ON_L2", "0.14.4"
    )


def _block(number: int, block: Block) -> types.BlockWithReceipts:
    receipts = []
    for index, (emitter, name, keys, data) in enumerate(block):
        selectors = PREFIXES.get(name, name).split("/")
        event = types.ReceiptEvent(
            hex(emitter),
            [*map(selector.of, selectors), *keys],
            list(data),
        )
        # What the first block makes, a factory makes in one transaction.
        if number == 1 and receipts:
            receipts[0].events.append(event)
        else:
            hash_ = hex(1000 * number + index)
            receipts.append(types.Receipt(hash_, index, 7, "FRI", "SUCCEEDED", [event]))
    return types.BlockWithReceipts(header(number), receipts)


def _range(first: int, blocks: Sequence[Block], known: frozenset[int]) -> types.Range:
    made = [_block(number, block) for number, block in enumerate(blocks, first)]
    ours = {hex(address) for address in known}
    events = [event for block in made for event in types.events_of(block, ours)]
    last = made[-1].header
    return types.Range(first, last.number, made[0].header.parent_hash, last, events, made)


OF_V2: Roots = [(FACTORY, discovery.Known(kinds.Kind.POOL_FACTORY_V2))]


def engine(roots: Roots = OF_V2) -> engines.Engine:
    """An engine that knows the factory, or V1's singleton and extension."""
    return engines.Engine(list(roots))


async def index(
    url: str,
    blocks: Sequence[Block],
    cut: int = 1,
    node: Node | None = None,
    first: int = 1,
    roots: Roots = OF_V2,
) -> None:
    """Commit the chain from block `first` on in batches of `cut` blocks, each with a new writer."""
    async with writing(url, node, roots) as writer:
        for start in range(first - 1, len(blocks), cut):
            await writer.open(CHAIN, 1)
            await commit(writer, start + 1, blocks[start : start + cut])


@contextlib.asynccontextmanager
async def writing(
    url: str, node: Node | None = None, roots: Roots = OF_V2
) -> AsyncIterator[writers.Writer]:
    """An open writer."""
    async with database.session(url) as connection:
        writer = writers.Writer(
            node or Node(),  # type: ignore[arg-type]
            connection,
            engine(roots),
        )
        await writer.open(CHAIN, 1)
        yield writer


async def read(writer: writers.Writer, first: int, batch: Sequence[Block]) -> types.Range:
    """The range of these blocks, with the events of all contracts that they name."""
    known: frozenset[int] = frozenset()
    while known != writer.addresses():
        known = writer.addresses()
        part = _range(first, batch, known)
        await writer.discover(part.events)
    return part


async def commit(writer: writers.Writer, first: int, batch: Sequence[Block]) -> None:
    """Commit a batch; what the node does not answer is asked again, as by the ingestor."""
    for left in range(LOOKS, -1, -1):
        try:
            part = await read(writer, first, batch)
            await writer.start(await writer.prepare(part, writer.connection), is_at_head=True)
        except errors.RetryableNodeError:
            if not left:
                raise
            await writer.reload()
        else:
            return


async def replayed(url: str, roots: Roots = OF_V2) -> None:
    """Fold the log again in a shadow, and put it live."""
    async with database.session(url) as connection:
        await replay.replay(build.Shadow(connection, engine(roots)), 1, None)


async def rows(url: str, pool: int | None = None, *, valued: bool = True) -> dict[str, list[Any]]:
    """The rows of all tables that have rows of pools; of one pool, if it is named."""
    found = {}
    skipped = set() if valued else {*tables.POSITIONS.valuation, *tables.POOLS.display}
    async with _connected(url) as connection:
        for table, column in OF_A_POOL.items():
            records = await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")
            found[table] = sorted(
                str({name: value for name, value in one.items() if name not in skipped})
                for one in records
                if pool is None or f"0x{pool:064x}" in (one[column], one["pool_id"])
            )
    return found


async def log(url: str) -> list[tuple[Any, ...]]:
    """Place and emitter of every event of the log."""
    statement = "SELECT block_number, transaction_index, event_index, from_address FROM events"
    async with _connected(url) as connection:
        return sorted(tuple(row) for row in await connection.fetch(statement))


PLAIN = re.compile(r"(event \(\d+, \d+, \d+\)|no node answered the view) [a-z][\w ,:;.'-]+")


def require_plain(told: Iterable[str]) -> None:
    """Why pools are frozen is told in words, by the event or the view; none is our own fault."""
    for reason in told:
        assert PLAIN.fullmatch(reason), reason
        assert "fault of the indexer" not in reason, reason


async def reasons(url: str) -> dict[int, str]:
    """Why pools are quarantined, by their address."""
    statement = "SELECT pool_id, quarantine_reason FROM vesu_pools WHERE quarantine_reason > ''"
    async with _connected(url) as connection:
        found = await connection.fetch(statement)
    return {int(row["pool_id"], 16): row["quarantine_reason"] for row in found}


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.asyncpg_url(url))
    try:
        yield connection
    finally:
        await connection.close()


def users(found: Iterable[str], user: int) -> list[str]:
    """The rows of a user among these."""
    return [row for row in found if f"0x{user:064x}" in row]
