"""A database whose tables are filled with generated rows: what the guide's schema is tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec

from tests import postgres

POOL = "0x" + "0" * 61 + "a11"
POOLS = """
INSERT INTO vesu_pools
SELECT r.* FROM generate_series(1, $2::int) AS g
CROSS JOIN LATERAL jsonb_populate_record(NULL::vesu_pools, $1::jsonb || jsonb_build_object(
    'id', md5('pair' || g)::uuid)) AS r
"""

POSITIONS = """
INSERT INTO vesu_positions
SELECT r.* FROM generate_series(1, $2::int) AS g
CROSS JOIN LATERAL jsonb_populate_record(NULL::vesu_positions, $1::jsonb || jsonb_build_object(
    'id', md5('position' || g)::uuid,
    'user_id', '0x' || lpad(to_hex(g % ($2::int / 5)), 64, '0'),
    'kind', CASE g % 10 WHEN 0 THEN 'system' WHEN 1 THEN 'earn' ELSE 'borrow' END,
    'status', CASE g % 100 WHEN 0 THEN 'liquidated' WHEN 1 THEN 'closed' ELSE 'active' END,
    'health_factor', CASE WHEN g % 10 > 4 THEN 0.99 + (g % 1000) / 100.0 END,
    'created_at', to_timestamp(1700000000 + g), 'last_updated', to_timestamp(1700000000 + g)
)) AS r
"""

TRANSACTIONS = """
INSERT INTO vesu_transactions
SELECT r.* FROM generate_series(1, $2::int) AS g
CROSS JOIN LATERAL jsonb_populate_record(NULL::vesu_transactions, $1::jsonb || jsonb_build_object(
    'id', md5('transaction' || g)::uuid,
    'position_id', md5('position' || (1 + g % $3::int))::uuid,
    'user_id', '0x' || lpad(to_hex((1 + g % $3::int) % ($3::int / 5)), 64, '0'),
    'transaction_hash', '0x' || lpad(to_hex(1000000 + g / 2), 64, '0'),
    'event_index', g % 2, 'leg', g % 2,
    'type', CASE g % 2 WHEN 0 THEN 'supply' ELSE 'borrow' END,
    'asset', CASE g % 2 WHEN 0 THEN 'ETH' ELSE 'USDC' END,
    'block_number', g / 10,
    'timestamp', to_timestamp(1700000000 + g), 'created_at', to_timestamp(1700000000 + g)
)) AS r
"""

LIQUIDATIONS = """
INSERT INTO vesu_liquidations
SELECT r.* FROM generate_series(1, $2::int) AS g
CROSS JOIN LATERAL jsonb_populate_record(NULL::vesu_liquidations, $1::jsonb || jsonb_build_object(
    'id', md5('liquidation' || g)::uuid, 'position_id', md5('position' || (5 * g))::uuid,
    'user_id', '0x' || lpad(to_hex((5 * g) % $3::int), 64, '0'),
    'liquidator_address', '0x' || lpad(to_hex(g % 97), 64, '0'),
    'transaction_hash', '0x' || lpad(to_hex(5000000 + g), 64, '0'),
    'timestamp', to_timestamp(1700000000 + g), 'created_at', to_timestamp(1700000000 + g)
)) AS r
"""

WALLETS = """
INSERT INTO wallets
SELECT DISTINCT user_id, md5(user_id)::uuid FROM vesu_positions WHERE kind <> 'system'
"""


async def blank(connection: asyncpg.Connection, table: str) -> str:
    """A row of a table as JSON in which every column has some value of its type."""
    values: dict[str, Any] = {}
    for row in await connection.fetch(
        "SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute "
        "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
        table,
    ):
        values[row["attname"]] = {
            "text": "",
            "boolean": True,
            "timestamp with time zone": "2026-01-01T00:00:00Z",
            "uuid": "00000000-0000-0000-0000-000000000000",
        }.get(row["type"], 0 if not row["type"].endswith("[]") else [])
    return msgspec.json.encode(values | {"pool_id": POOL, "pool_address": POOL}).decode()


async def fill(url: str, positions: int) -> None:
    """Fill the four tables: five positions a wallet, three rows a position."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(POOLS, await blank(connection, "vesu_pools"), 1)
        pair = await connection.fetchval("SELECT id FROM vesu_pools")
        for statement, table, arguments in (
            (POSITIONS, "vesu_positions", (positions,)),
            (TRANSACTIONS, "vesu_transactions", (3 * positions, positions)),
            (LIQUIDATIONS, "vesu_liquidations", (positions // 5, positions // 5)),
        ):
            row = msgspec.json.decode(await blank(connection, table))
            if "pool_pair_id" in row:
                row["pool_pair_id"] = str(pair)
            await connection.execute(statement, msgspec.json.encode(row).decode(), *arguments)
        await connection.execute(WALLETS)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def filled(positions: int) -> AsyncIterator[str]:
    """A migrated database with generated rows."""
    async with postgres.fresh_database(migrated=True) as url:
        await fill(url, positions)
        yield url
