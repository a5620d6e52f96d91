"""Tables for people: filters by name and symbol, sorting, limits, whole addresses, log events."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import Any

import asyncpg
import pytest

from tests.acceptance import refusal, stage, truth
from tests.acceptance.tables_v1 import Indexed

ADDRESS = re.compile(r"\b0x[0-9a-f]{64}\b")


@pytest.fixture
def environ(recorded: truth.Recorded, indexed_url: str) -> dict[str, str]:
    return stage.environment(recorded, "http://127.0.0.1:1", indexed_url)


async def rows(connection: asyncpg.Connection, query: str, *args: object) -> list[asyncpg.Record]:
    return list(await connection.fetch(query, *args))


# --- transactions and liquidations ----------------------------------------------------------


async def test_transactions_by_every_filter(
    environ: dict[str, str], indexed: asyncpg.Connection
) -> None:
    every = await stage.json_of(environ, "transactions", "--limit", "1000")
    stored = await rows(
        indexed,
        "SELECT * FROM vesu_transactions "
        "ORDER BY block_number DESC, transaction_index DESC, event_index DESC, leg DESC",
    )
    assert [(one["transaction_hash"], one["event_index"], one["leg"]) for one in every] == [
        (one["transaction_hash"], one["event_index"], one["leg"]) for one in stored
    ]
    one = every[len(every) // 2]
    pool = one["pool_name"]
    for arguments, matches in (
        (("--pool", pool.upper()), lambda row: row["pool_id"] == one["pool_id"]),
        (("--pool", one["pool_id"]), lambda row: row["pool_id"] == one["pool_id"]),
        (("--user", one["user_id"]), lambda row: row["user_id"] == one["user_id"]),
        (("--asset", "usdc"), lambda row: row["asset"] == "USDC"),
        (("--type", "borrow", "--type", "repay"), lambda row: row["type"] in ("borrow", "repay")),
        (
            ("--tx", one["transaction_hash"]),
            lambda r: r["transaction_hash"] == one["transaction_hash"],
        ),
        (("--from-block", "60", "--to-block", "80"), lambda row: 60 <= row["block_number"] <= 80),
    ):
        found = await stage.json_of(environ, "transactions", "--limit", "1000", *arguments)
        assert found == [row for row in every if matches(row)], arguments
        assert 0 < len(found) < len(every), arguments
    assert await stage.json_of(environ, "transactions", "--limit", "3") == every[:3]


async def test_liquidations_by_every_filter(
    environ: dict[str, str], indexed: asyncpg.Connection
) -> None:
    every = await stage.json_of(environ, "liquidations")
    assert len(every) == 7
    stored = await rows(indexed, "SELECT id FROM vesu_liquidations")
    assert len(stored) == 7
    one = every[3]
    for option, name in (
        ("--user", "user_id"),
        ("--liquidator", "liquidator_address"),
        ("--tx", "transaction_hash"),
        ("--pool", "pool_id"),
        ("--pool", "pool_name"),
    ):
        found = await stage.json_of(environ, "liquidations", option, one[name])
        assert found == [row for row in every if row[name] == one[name]], option
    to = str(one["block_number"])
    found = await stage.json_of(environ, "liquidations", "--to-block", to)
    assert found == [row for row in every if row["block_number"] <= one["block_number"]]


async def test_events_by_range_pool_and_contract(environ: dict[str, str]) -> None:
    every = await stage.json_of(environ, "events", "--limit", "100000")
    ranged = await stage.json_of(
        environ, "events", "--from-block", "90", "--to-block", "100", "--limit", "1000"
    )
    assert ranged == [one for one in every if 90 <= one["block_number"] <= 100]
    contract = ranged[0]["from_address"]
    of = await stage.json_of(environ, "events", "--contract", contract, "--limit", "1000")
    assert of == [one for one in every if one["from_address"] == contract]
    pools = await stage.json_of(environ, "pools")
    pool = pools["pools"][0]
    named = await stage.json_of(environ, "events", "--pool", pool["name"], "--limit", "100000")
    assert named == [
        one
        for one in every
        if one["from_address"] == pool["pool_id"]
        or (one["args"] or {}).get("pool_id") == pool["pool_id"]
    ]
    assert named
    _, out, _ = await stage.command(environ, "events", "--limit", "1")
    assert every[0]["transaction_hash"] in out
    assert every[0]["timestamp"][:10] in out


async def test_events_of_a_v1_pool_are_those_that_name_it(indexed_v1: Indexed) -> None:
    """A singleton emits the events of all its pools."""
    environ = stage.clean_environment() | {"DATABASE_URL": indexed_v1.url}
    environ |= {"VESU_LOG_LEVEL": "warning"}
    every = await stage.json_of(environ, "events", "--limit", "100000")
    pool = (await stage.json_of(environ, "pools"))["pools"][0]["pool_id"]
    found = await stage.json_of(environ, "events", "--pool", pool, "--limit", "100000")
    assert found == [one for one in every if (one["args"] or {}).get("pool_id") == pool]
    assert 0 < len(found) < len(every)


# --- positions --------------------------------------------------------------------------------


async def test_positions_by_kind_status_side_and_order(environ: dict[str, str]) -> None:
    every = (await stage.json_of(environ, "positions"))["positions"]

    async def found(*arguments: str) -> list[dict[str, Any]]:
        document = await stage.json_of(environ, "positions", *arguments)
        return list(document["positions"])

    earn = await found("--kind", "earn", "--status", "active")
    assert earn == [one for one in every if (one["kind"], one["status"]) == ("earn", "active")]
    people = await found("--kind", "earn", "--kind", "borrow")
    assert people == [one for one in every if one["kind"] != "system"]
    assert 0 < len(earn) < len(people) < len(every)
    sides = await found("--collateral", "WBTC", "--debt", "usdt")
    assert sides == [
        one for one in every if (one["collateral_asset"], one["debt_asset"]) == ("WBTC", "USDT")
    ]
    assert sides
    by_debt = await found("--sort", "debt", "--limit", "5")
    largest = sorted((float(one["debt_value_usd"] or 0) for one in every), reverse=True)[:5]
    assert [float(one["debt_value_usd"]) for one in by_debt] == largest


async def test_one_position_by_names(environ: dict[str, str]) -> None:
    found = await stage.json_of(environ, "positions", "--kind", "borrow", "--limit", "1")
    [one] = found["positions"]
    named = (one["pool_name"], one["collateral_asset"], one["debt_asset"].lower(), one["user_id"])
    assert (await stage.json_of(environ, "position", *named))["id"] == one["id"]


# --- width ------------------------------------------------------------------------------------


async def test_addresses_are_whole_when_piped_and_with_wide(environ: dict[str, str]) -> None:
    _, piped, _ = await stage.command(environ, "positions", "--kind", "borrow", "--limit", "3")
    lines = piped.splitlines()[2:]
    assert len(lines) == 3
    for line in lines:
        assert len(ADDRESS.findall(line)) == 4  # user, pool, collateral, debt
        assert "…" not in line
    narrow = on_terminal(environ, 100, "positions", "--kind", "borrow", "--limit", "3")
    assert max(map(len, narrow.splitlines()[1:])) <= 100
    assert not ADDRESS.findall(narrow)
    assert "…" in narrow
    wide = on_terminal(environ, 100, "positions", "--kind", "borrow", "--limit", "3", "--wide")
    assert [line.rstrip() for line in wide.splitlines()] == piped.splitlines()


def on_terminal(environ: dict[str, str], width: int, *arguments: str) -> str:
    """What a command prints on a terminal of this width."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "indexer", *arguments],
        env=environ | {"COLUMNS": str(width), "TERM": "dumb"},
        stdout=slave,
        stderr=subprocess.DEVNULL,
    ):
        os.close(slave)
        shown = b""
        while True:
            try:
                chunk = os.read(master, 65_536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            shown += chunk
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


# --- names that mean nothing, or several things -------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("positions", "--pool", "Prime Locl"), "no pool 'Prime Locl' is known; the nearest known"),
        (
            ("transactions", "--asset", "USDX"),
            "no asset 'USDX' is known; the nearest known is 'USD",
        ),
        (("pools", "--pool", "0x1"), "no pool 0x000"),
        (("assets", "--pool", "0x1"), "no pool 0x000"),
        (("totals", "--pool", "0x1"), "no pool 0x000"),
        (("liquidations", "--pool", "0x1"), "no pool 0x000"),
        (("events", "--name", "LiquidatePositoin"), "nearest known is 'LiquidatePosition'"),
        (("events", "--contract", "0x1"), "no contract of Vesu is known at 0x000"),
        (("events", "--block", "126"), "block 126 is above the committed block 125"),
        (("transactions", "--from-block", "126"), "block 126 is above the committed block 125"),
        (("liquidations", "--from-block", "126"), "block 126 is above the committed block 125"),
        (("maintenance", "--retain-orphans-days", "5"), "needs --retention"),
        (("positions", "--pool", "0xPrime"), "not a Starknet address"),
        (("positions", "--min-health", "2", "--max-health", "1"), "is not above --min-health 2"),
    ],
)
async def test_what_is_not_known_is_said_with_the_nearest(
    environ: dict[str, str], arguments: tuple[str, ...], says: str
) -> None:
    assert says in await refusal.refused(environ, *arguments, code=2)


async def test_a_name_of_several_pools_lists_them(
    recorded: truth.Recorded, indexed_copy: str
) -> None:
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_copy)
    connection = await asyncpg.connect(indexed_copy)
    try:
        await connection.execute("UPDATE vesu_pools SET name = 'Twin'")
        ids = [row[0] for row in await connection.fetch("SELECT DISTINCT pool_id FROM vesu_pools")]
    finally:
        await connection.close()
    line = await refusal.refused(environ, "pools", "--pool", "twin", code=2)
    assert f"'twin' means {len(ids)} pools: name one of {min(ids)} Twin" in line
