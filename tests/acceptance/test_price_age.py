"""Whatever rests on prices says how old they are, and that they are older than was allowed."""

from __future__ import annotations

import datetime
from typing import Any

import asyncpg
import pytest

from indexer.query import positions
from tests.acceptance import stage
from tests.acceptance.api_client import Client

LATER = 100
"""Seconds after the newest price: every price is at least as old then."""

STALE, FRESH = LATER - 1, 10 * 365 * 86_400


@pytest.fixture
def environ(indexed_url: str) -> dict[str, str]:
    return stage.clean_environment() | {"DATABASE_URL": indexed_url, "VESU_LOG_LEVEL": "warning"}


@pytest.fixture
async def newest(indexed: asyncpg.Connection) -> datetime.datetime:
    """The time of the newest block, which no price is younger than."""
    found: datetime.datetime = await indexed.fetchval("SELECT max(timestamp) FROM blocks")
    return found


@pytest.fixture
async def loan(indexed: asyncpg.Connection) -> positions.Position:
    found = (await positions.find(indexed)).positions
    return next(one for one in found if one.health is not None and one.health > 1)


def named(loan: positions.Position) -> list[str]:
    return [loan.pool_id, loan.collateral_address, str(loan.debt_address), loan.user_id]


def flags(document: Any) -> list[bool | None]:
    """Every flag of a document, wherever it stands."""
    if isinstance(document, list):
        return [flag for one in document for flag in flags(one)]
    if not isinstance(document, dict):
        return []
    own = [document[name] for name in ("is_price_stale", "is_stale") if name in document]
    return own + [flag for one in document.values() for flag in flags(one)]


COMMANDS = (
    ("positions", "--status", "active"),
    ("portfolio", "USER"),
    ("assets",),
    ("totals",),
    ("position", "LOAN"),
    ("simulate", "LOAN", "supply=1"),
    ("quote", "max-borrow", "LOAN"),
    ("quote", "max-withdraw", "LOAN"),
    ("quote", "liquidations", "--price-change", "COLLATERAL=-0.9"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_a_command_says_that_prices_are_older_than_allowed(
    environ: dict[str, str],
    loan: positions.Position,
    newest: datetime.datetime,
    command: tuple[str, ...],
) -> None:
    words: list[str] = []
    for word in command:
        words += named(loan) if word == "LOAN" else [word]
    words = [word.replace("USER", loan.user_id) for word in words]
    words = [word.replace("COLLATERAL", loan.collateral_address) for word in words]
    time = (newest + datetime.timedelta(seconds=LATER)).isoformat()
    asked = [*words, "--at-time", time, "--max-price-age"]
    # Without a price there is no flag; every row with one is as old as the chain, at least.
    stale = flags(await stage.json_of(environ, *asked, str(STALE)))
    assert True in stale
    assert False not in stale
    _, told, _ = await stage.command(environ, *asked, str(STALE))
    assert f"older than {STALE} s" in told
    fresh = flags(await stage.json_of(environ, *asked, str(FRESH)))
    assert len(fresh) == len(stale)
    assert True not in fresh
    assert False in fresh


ROUTES = (
    "/v1/positions",
    "/v1/positions/ID",
    "/v1/positions/ID/health",
    "/v1/positions/ID/pnl",
    "/v1/positions/ID/simulate?actions=supply=1",
    "/v1/users/USER/positions",
    "/v1/users/USER/portfolio",
    "/v1/users/USER/pnl",
    "/v1/pools/POOL",
    "/v1/assets",
    "/v1/stats",
    "/v1/fees",
    "/v1/quotes/max-borrow?LOAN",
    "/v1/quotes/max-withdraw?LOAN",
    "/v1/simulate?LOAN&actions=supply=1",
    "/v1/liquidations/opportunities?price_changes=COLLATERAL:-0.9",
    "/v1/risk/curve",
)
HISTORIES = (
    "/v1/positions/ID/history",
    "/v1/pools/POOL/history",
    "/v1/users/USER/portfolio/history",
    "/v1/stats/history",
)
"""Each point rests on the prices of its own time and says so; the answer as a whole does not."""


@pytest.mark.parametrize("route", ROUTES + HISTORIES)
async def test_an_answer_says_that_prices_are_older_than_allowed(
    api: Client, loan: positions.Position, newest: datetime.datetime, route: str
) -> None:
    pool, collateral, debt, user = named(loan)
    for name, value in (
        ("LOAN", f"pool={pool}&collateral={collateral}&debt={debt}&user={user}"),
        ("ID", loan.id),
        ("USER", user),
        ("POOL", pool),
        ("COLLATERAL", collateral),
    ):
        route = route.replace(name, value)
    path, _, query = route.partition("?")
    given = dict(part.split("=", 1) for part in query.split("&")) if query else {}
    given["at_time"] = (newest + datetime.timedelta(seconds=LATER)).strftime("%FT%TZ")
    is_history = path.endswith("history")
    for most, is_stale in ((STALE, True), (FRESH, False)):
        answer = await api.ask(path, **given, max_price_age=most)
        assert answer.status == 200, answer.body
        meta = answer.body["meta"]
        if not is_history:
            assert meta["prices_as_of"] <= newest.strftime("%FT%TZ")
            assert meta["is_price_stale"] is is_stale
        found = flags(answer.body["data"])
        if is_history:
            # Some points lie at times of events, whose prices are new.
            assert (True in found) is is_stale
        else:
            assert (not is_stale) not in found
    answer = await api.ask(path, **given)
    assert set(flags(answer.body["data"])) <= {None}
    assert answer.body["meta"]["is_price_stale"] is None
