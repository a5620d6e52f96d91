"""Events that are legal on chain and unpleasant in a database: the writer must go on."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import asyncpg

from indexer.cairo import selector
from indexer.chain import types
from indexer.log import cursor, encoded_range, facts, observations
from indexer.projections import engine as engines
from indexer.projections import tables
from indexer.store import database
from indexer.vesu import discovery, kinds

FACTORY, POOL, TOKEN, V_TOKEN, NAMED = 0xFAC, 0x9001, 0xE, 0x7E, 0xBAD
ALICE, BOB = 0xA11CE, 0xB0B
MOST = (1 << 256) - 1
CHAIN = "0x534e5f5345504f4c4941"

Sent = tuple[int, str, Sequence[int], Sequence[int]]
"""Emitter, name, keys after the selector, data."""


def u256(number: int) -> list[int]:
    return [number % (1 << 128), number >> 128]


def asset_config(scale: int) -> list[int]:
    numbers = (10**21, 0, 10**21, 10**18, 0, scale)
    later = (10**18, 10**9, 10**17, 0)
    felts = [half for number in numbers for half in u256(number)]
    return [*felts, 0, 1_700_000_000, *(half for number in later for half in u256(number))]


def text(raw: bytes) -> list[int]:
    return [0, int.from_bytes(raw), len(raw)]


CREATED: list[Sent] = [
    (FACTORY, "CreatePool", [POOL, 0xFF00FF, 1, 2, 3], []),
    (POOL, "SetAssetConfig", [TOKEN], asset_config(10**18)),
    (FACTORY, "AddAsset", [POOL, TOKEN], []),
    (FACTORY, "CreateVToken", [POOL, TOKEN, V_TOKEN, *text(b"\0\0ETH"), *text(b"\xff\0")], []),
]


def part_of(number: int, sent: Sequence[Sent]) -> types.Range:
    """A range of one block with one transaction that emits all of these."""
    header = types.BlockHeader(
        number, hex(number), hex(number - 1), 1_700_000_000 + number, "ACCEPTED_ON_L2", "0.14.4"
    )
    emitted = [
        types.ReceiptEvent(
            hex(emitter),
            [selector.of(name), *keys],
            list(data),
        )
        for emitter, name, keys, data in sent
    ]
    receipt = types.Receipt(hex(1000 + number), 0, 7, "FRI", "SUCCEEDED", emitted)
    block = types.BlockWithReceipts(header, [receipt])
    addresses = {event.from_address for event in emitted}
    return types.Range(
        number, number, header.parent_hash, header, types.events_of(block, addresses), [block]
    )


class Writer:
    """Commits one block after another, as the ingestor does."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        factory = discovery.Known(kinds.Kind.POOL_FACTORY_V2)
        self._engine = engines.Engine([(FACTORY, factory)])

    async def open(self) -> None:
        self._stands = await cursor.open_for(self._connection, CHAIN, 1, tables.FOLD_VERSION)
        await self._engine.load(self._connection)

    async def commit(self, *sent: Sent) -> None:
        part = part_of(self._stands.block_number + 1, sent)
        batch = facts.batch_of(part)
        prepared = await self._engine.prepare(self._connection, batch)
        seen = [observations.Observation(call, part.tip.hash, (0x12,)) for call in prepared.needs]
        self._engine.observe(seen)
        prepared = await self._engine.refold(prepared)
        log_rows = await encoded_range.encode(part, batch, prepared.derived)
        async with self._connection.transaction():
            self._stands = await cursor.advance(self._connection, self._stands, part.tip)
            await encoded_range.append_blocks(self._connection, log_rows)
            append_events = functools.partial(
                encoded_range.append_events,
                encoded=log_rows,
                numbers=await encoded_range.number(self._connection, log_rows),
            )
            await observations.append(self._connection, seen)
            memory_ = self._engine.advance(prepared)
            await self._engine.project(self._connection, prepared, memory_, "head", append_events)


async def written(url: str, *blocks: Sequence[Sent]) -> asyncpg.Connection:
    """A connection to a database into which these blocks were committed."""
    connection = await asyncpg.connect(database.asyncpg_url(url))
    writer = Writer(connection)
    await writer.open()
    for block in blocks:
        await writer.commit(*block)
    return connection


async def test_a_deposit_that_mints_nothing(migrated_database_url: str) -> None:
    """One unit of a token whose share is worth more: no share, no Transfer of anything."""
    too_small = [
        (V_TOKEN, "Transfer", [0, ALICE], u256(0)),
        (V_TOKEN, "Deposit", [ALICE, ALICE], [*u256(1), *u256(0)]),
    ]
    connection = await written(migrated_database_url, CREATED, too_small, too_small)
    rows = await connection.fetch(
        "SELECT t.type, t.amount_raw, p.status, p.vtoken_balance_raw FROM vesu_transactions t"
        " JOIN vesu_positions p ON p.id = t.position_id AND p.pool_id = t.pool_id"
    )
    assert [tuple(row) for row in rows] == [("supply", 1, "closed", 0)] * 2
    await connection.close()


async def test_a_deposit_that_mints_nothing_keeps_what_was_held(migrated_database_url: str) -> None:
    connection = await written(
        migrated_database_url,
        CREATED,
        [(V_TOKEN, "Transfer", [0, ALICE], u256(5))],
        [(V_TOKEN, "Deposit", [ALICE, ALICE], [*u256(1), *u256(0)])],
    )
    row = await connection.fetchrow("SELECT status, vtoken_balance_raw FROM vesu_positions")
    assert tuple(row) == ("active", 5)
    await connection.close()


async def test_a_contract_that_a_curator_named_as_vtoken_says_anything(
    migrated_database_url: str,
) -> None:
    connection = await written(
        migrated_database_url,
        CREATED,
        [(FACTORY, "UpdateVToken", [POOL, TOKEN, V_TOKEN, NAMED], [])],
        [
            (NAMED, "Transfer", [ALICE, BOB], u256(1)),
            (NAMED, "Transfer", [0, ALICE], u256(MOST)),
            (NAMED, "Transfer", [0, ALICE], u256((1 << 128) - 1)),
            (NAMED, "Transfer", [0, ALICE], u256(1)),
            (NAMED, "Deposit", [BOB, BOB], [*u256(MOST), *u256(MOST)]),
            (NAMED, "Withdraw", [BOB, BOB, ALICE], [*u256(MOST), *u256(MOST)]),
            (NAMED, "Transfer", [BOB], [ALICE, *u256(1)]),
        ],
        [(V_TOKEN, "Transfer", [0, BOB], u256(9))],
    )
    held = await connection.fetch(
        "SELECT right(v_token, 3) AS v_token, right(user_id, 3) AS holder, vtoken_balance_raw"
        " FROM vesu_positions WHERE vtoken_balance_raw > 0 ORDER BY 1, 2"
    )
    assert [tuple(row) for row in held] == [
        ("07e", "b0b", 9),
        ("bad", "1ce", (1 << 128) - 1),
    ]
    assert await connection.fetchval("SELECT count(*) FROM events") == 13
    assert await connection.fetchval("SELECT count(*) FROM events WHERE name IS NULL") == 1
    await connection.close()


async def test_the_largest_numbers_that_events_can_hold(migrated_database_url: str) -> None:
    """A pool's own class stores 128 bits at most; prices come from an oracle of anyone's choice."""
    price = [*u256(MOST), 1]
    largest = asset_config(10**18)
    connection = await written(
        migrated_database_url,
        CREATED,
        [
            (POOL, "UpdateContext", [TOKEN, TOKEN], [*largest, *largest, *price, *price]),
            (V_TOKEN, "Transfer", [0, ALICE], u256((1 << 128) - 1)),
        ],
    )
    price_row = await connection.fetchval("SELECT price FROM vesu_assets")
    assert price_row == MOST
    row = await connection.fetchrow(
        "SELECT collateral_raw, collateral_value_usd, unvalued_reason FROM vesu_positions"
    )
    overflows = "the contract's arithmetic overflows: its views revert"
    assert tuple(row) == ((1 << 128) - 1, None, overflows)
    await connection.close()
