"""Every list and sum of the API, and questions about single pools, asked of a database of many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.acceptance import api_client

LISTS = (
    *("/v1/pools", "/v1/assets", "/v1/positions", "/v1/transactions", "/v1/liquidations"),
    *("/v1/events", "/v1/prices", "/v1/fees", "/v1/stats", "/v1/stats/history"),
    *("/v1/liquidations/opportunities", "/v1/liquidations/leaderboard"),
    *("/v1/risk/bad-debt", "/v1/risk/caps", "/v1/risk/concentration"),
    *("/v1/risk/curve", "/v1/risk/heatmap"),
    *("/v1/compat/defillama/pools", "/v1/compat/vesu/pools", "/v1/compat/vesu/markets"),
)
OF_A_USER = ("positions", "portfolio", "history", "pnl")
OF_A_POOL = ("", "/history", "/config-history", "/interest-rate")


async def unanswered(
    client: api_client.Client, user: int, block: int, pools: Iterable[int]
) -> dict[tuple[str, ...], Any]:
    """What is not answered of every list and sum, at the head and at a block, and about a user.

    So are questions about single pools, unless they are refused in words.
    """
    found: dict[tuple[str, ...], Any] = {}
    for path in (*LISTS, *(f"/v1/users/{user:#x}/{part}" for part in OF_A_USER)):
        for query in ({}, {"at_block": block}):
            said = await client.ask(path, **query)
            if said.status != 200:
                found[path, *query] = said.body
    for pool in pools:
        for part in OF_A_POOL:
            said = await client.ask(f"/v1/pools/{pool:#x}{part}")
            if said.status not in (200, 400, 409):
                found[hex(pool), part] = said.body
    return found
