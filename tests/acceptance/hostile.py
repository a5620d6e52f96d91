"""A database whose rows hold what breaks exporters: widest integers, quotes, newlines, NULLs."""

from __future__ import annotations

import asyncpg

WIDEST = 2**256 - 1
"""78 digits."""
SEVENTY_SEVEN = 10**77 - 1

TEXTS = (
    'quote " and ""',
    "comma, semicolon; tab\t",
    "line\nline\r\nline\r",
    "back\\slash \\N \\. \\n",
    "",
    " ",
    "NULL",
    "{}",
    "control \x01 and \x02",
    "snow ☃ and beyond \U0001f9ca",
    "'; DROP TABLE events; --",
)


async def spoil(url: str) -> None:
    """Write such values over rows of an indexed database; its digests no longer mean anything."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(
            "UPDATE vesu_positions SET collateral_shares = $1::numeric, "
            "nominal_debt = $2::numeric, collateral_amount = $1::numeric / 10::numeric ^ 18, "
            "health_factor = 0.000000000000000000000000000000000000000000000001, "
            "ltv = 1.500, debt_amount = $3::numeric * 10::numeric ^ 40",
            WIDEST,
            SEVENTY_SEVEN,
            WIDEST,
        )
        await connection.execute(
            "UPDATE vesu_transactions SET amount_raw = -$1::numeric WHERE leg = 0", SEVENTY_SEVEN
        )
        rows = await connection.fetch("SELECT address FROM contracts ORDER BY address")
        for index, row in enumerate(rows):
            text = None if index % 12 == 11 else TEXTS[index % 12]
            await connection.execute(
                "UPDATE contracts SET name = $2, symbol = $2 WHERE address = $1", row[0], text
            )
        await connection.execute(
            "UPDATE events SET name = $1, args = $2 WHERE block_number = 35",
            TEXTS[0],
            '{"amount": 115792089237316195423570985008687907853269984665640564039457, "é": "\\n"}',
        )
        await connection.execute("UPDATE vesu_liquidations SET collateral_asset = ''")
    finally:
        await connection.close()
