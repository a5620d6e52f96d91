"""`simulate` and `quote` as people run them, on the recorded chain."""

from __future__ import annotations

import asyncpg
import msgspec
import pytest

from indexer.query import markets, positions, quotes, simulate
from indexer.vesu import simulation
from tests import postgres
from tests.acceptance import stage, truth


@pytest.fixture
def environ(indexed_url: str) -> dict[str, str]:
    return stage.clean_environment() | {"DATABASE_URL": indexed_url, "VESU_LOG_LEVEL": "warning"}


@pytest.fixture
async def loan(indexed: asyncpg.Connection) -> positions.Position:
    found = (await positions.find(indexed)).positions
    return next(one for one in found if one.health is not None and one.health > 1)


def named(one: positions.Position) -> list[str]:
    assert one.debt_address is not None
    return [one.pool_id, one.collateral_address, one.debt_address, one.user_id]


def wanted(one: positions.Position) -> markets.PositionRef:
    return markets.PositionRef(*(int(text, 16) for text in named(one)))


async def test_simulate_says_what_the_question_says(
    environ: dict[str, str], loan: positions.Position, indexed: asyncpg.Connection
) -> None:
    actions = [
        simulate.Action(simulation.Kind.REPAY, 1_000),
        simulate.Action(simulation.Kind.WITHDRAW, simulate.Size.MAX),
    ]
    answer = await stage.json_of(
        environ, "simulate", *named(loan), "repay=raw:1000", "withdraw=max", "--ahead", "60"
    )
    found = await simulate.simulate(
        indexed, wanted(loan), actions, conditions=markets.Conditions(60)
    )
    assert found.is_allowed
    assert answer["after"] == msgspec.to_builtins(found.after)
    assert [step["amount_raw"] for step in answer["steps"]] == [
        step.amount_raw for step in found.steps
    ]
    assert answer["block_hash"] == found.block_hash


async def test_a_refused_action_ends_with_1_and_its_reason(
    environ: dict[str, str], loan: positions.Position, indexed: asyncpg.Connection
) -> None:
    answer = await stage.json_of(
        environ, "simulate", *named(loan), "supply=0.5", "borrow=raw:" + "9" * 30, expect=1
    )
    assert (answer["is_allowed"], answer["refused_step"]) == (False, 2)
    assert answer["refusal"] == "insufficient-reserve"
    _, told, _ = await stage.command(environ, "simulate", *named(loan), "withdraw=all", expect=1)
    whole = [simulate.Action(simulation.Kind.WITHDRAW, simulate.Size.ALL)]
    refusal = (await simulate.simulate(indexed, wanted(loan), whole)).refusal
    assert refusal in ("not-collateralized", "insufficient-reserve")
    assert f"1. withdraw all: refused: {refusal}" in told
    assert "health" in told


async def test_quotes(
    environ: dict[str, str], loan: positions.Position, indexed: asyncpg.Connection
) -> None:
    block = str(loan.last_event_block)
    for name, question in (
        ("max-borrow", quotes.max_borrow),
        ("max-withdraw", quotes.max_withdraw),
    ):
        answer = await stage.json_of(environ, "quote", name, *named(loan), "--at-block", block)
        found = await question(indexed, wanted(loan), int(block))
        assert answer["amount_raw"] == found.amount_raw
        assert answer["limit"] == found.limit
        assert answer["block_number"] == int(block)
    owed = await stage.json_of(environ, "quote", "total-repay", *named(loan), "--margin", "3600")
    assert int(owed["with_margin_raw"]) > int(owed["amount_raw"]) > 0
    brought = await stage.json_of(environ, "quote", "supply-estimate", *named(loan), "1.5")
    assert int(brought["shares"]) > 0
    _, told, _ = await stage.command(environ, "quote", "max-borrow", *named(loan))
    assert "amount in raw units" in told
    assert "price of" in told


async def test_liquidations(environ: dict[str, str], loan: positions.Position) -> None:
    change = f"{loan.collateral_address}=-0.9"
    answer = await stage.json_of(environ, "quote", "liquidations", "--price-change", change)
    listed = answer["opportunities"]
    assert loan.user_id in {one["user_id"] for one in listed}
    profits = [float(one["net_profit_usd"]) for one in listed]
    assert profits == sorted(profits, reverse=True)
    assert all(call["function"] for one in listed for call in one["calls"])
    _, told, _ = await stage.command(
        environ, "quote", "liquidations", "--price-change", change, "--limit", "1"
    )
    assert "net profit USD" in told


async def test_prices_change_by_symbol_as_by_address(
    environ: dict[str, str], loan: positions.Position, indexed: asyncpg.Connection
) -> None:
    symbol, address = loan.collateral_asset, loan.collateral_address
    for command in (
        ("quote", "liquidations", "--pool", loan.pool_id),
        ("quote", "max-borrow", *named(loan)),
        ("quote", "max-withdraw", *named(loan)),
        ("simulate", *named(loan)),
    ):
        by_address, by_symbol = [
            await stage.json_of(environ, *command, "--price-change", f"{asset}=-0.3")
            for asset in (address, str(symbol).lower())
        ]
        assert by_symbol == by_address
        assert by_symbol != await stage.json_of(environ, *command)
    twice = ("--price-change", f"{symbol}=-0.3", "--price-change", f"{address}=0.1")
    _, _, error = await stage.command(environ, "simulate", *named(loan), *twice, expect=2)
    assert f"--price-change names {address} twice" in error


async def test_a_symbol_of_two_assets_lists_their_addresses(
    recorded: truth.Recorded, indexed_copy: str, loan: positions.Position
) -> None:
    changed = await postgres.fetch(
        indexed_copy,
        "UPDATE vesu_assets SET symbol = $1 WHERE pool_id = $2 "
        "AND asset_address IN ($3, $4) RETURNING asset_address",
        *("TWIN", loan.pool_id, loan.collateral_address, loan.debt_address),
    )
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_copy)
    twin = ("--price-change", "TWIN=-0.3")
    _, _, error = await stage.command(environ, "simulate", *named(loan), *twin, expect=2)
    assert "'TWIN' means 2 assets: name one of" in error
    assert len(changed) == 2
    for row in changed:
        assert row["asset_address"] in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["supply=x"], "is not a number"),
        (["lend=1"], "is no action"),
        (["supply="], "is no action"),
        (["supply=raw:-1"], "raw units"),
        (["supply=-1"], "'supply=-1': an amount is above 0"),
        (["repay=0"], "'repay=0': an amount is above 0"),
        (["--price-change", "0x1"], "write ASSET=CHANGE"),
        (["--price-change", "0x1=0.5"], "so its price changes nothing"),
        (["--price-change", "=0.5"], "write ASSET=CHANGE"),
        (["--price-change", "Nix=0.5"], "no asset 'Nix' is known; known are '"),
        (["--price-change", "0x1=0.5", "--price-change", "0x01=0.6"], "names 0x0000"),
        (["--ahead", "-1"], "--ahead"),
        (["--shutdown-mode", "off"], "--shutdown-mode"),
    ],
)
async def test_what_cannot_be_asked_ends_with_2(
    environ: dict[str, str], loan: positions.Position, arguments: list[str], words: str
) -> None:
    _, told, error = await stage.command(environ, "simulate", *named(loan), *arguments, expect=2)
    assert not told
    assert words in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["quote", "liquidations", "--gas", "-1"], "'--gas': -1 is below 0"),
        (["quote", "liquidations", "--capital", "-0.5"], "'--capital': -0.5 is below 0"),
        (["quote", "liquidations", "--slippage", "1.5"], "between 0 and 1"),
        (["quote", "liquidations", "--price-change", "0x1=1"], "so its price changes nothing"),
        (["quote", "liquidations", "--pool", "Nix"], "no pool 'Nix' is known; known are '"),
        (["quote", "max-borrow", "0x1", "ETH", "USDC", "0x2"], "no pool 0x0000"),
        (["positions", "--min-health", "-1"], "'--min-health': -1 is below 0"),
        (["position", "0x1", "ETH", "USDC", "0x2"], "no pool 0x0000"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_no_argument_is_taken_in_silence(
    environ: dict[str, str], arguments: list[str], words: str
) -> None:
    _, told, error = await stage.command(environ, *arguments, expect=2)
    assert not told
    assert words in error
    assert len(error.strip().splitlines()) == 1
