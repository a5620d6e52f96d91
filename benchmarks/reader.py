"""Join the four tables for one user after another until stdin is closed; print how long it took.

`python -m benchmarks.reader URL`: a reader's wait beside whatever else goes on in the database.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time

import asyncpg

PAUSE_SECONDS = 0.005

USERS = "SELECT DISTINCT user_id FROM vesu_positions ORDER BY user_id LIMIT 200"
JOINED = """
SELECT c.block_number, p.id, p.collateral_shares, o.max_ltv, t.amount_raw, l.bad_debt_raw
FROM cursor c
CROSS JOIN vesu_positions p
LEFT JOIN vesu_pools o ON (o.pool_id, o.id) = (p.pool_id, p.pool_pair_id)
LEFT JOIN vesu_transactions t ON (t.pool_id, t.position_id) = (p.pool_id, p.id)
LEFT JOIN vesu_liquidations l ON (l.pool_id, l.position_id) = (p.pool_id, p.id)
WHERE p.user_id = $1
"""


async def main(url: str) -> None:
    """Print the number of reads and their median, 99th percentile and longest, in ms."""
    connection = await asyncpg.connect(url)
    users = [row["user_id"] for row in await connection.fetch(USERS)]
    closed = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    print("reading", flush=True)
    took = []
    for user in itertools.cycle(users):
        if closed.done():
            break
        began = time.perf_counter()
        await connection.fetch(JOINED, user)
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(PAUSE_SECONDS)
    await connection.close()
    took.sort()
    print(
        json.dumps(
            {
                "reads": len(took),
                "median_ms": round(took[len(took) // 2], 2),
                "p99_ms": round(took[len(took) * 99 // 100], 2),
                "longest_ms": round(took[-1], 2),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
