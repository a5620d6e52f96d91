"""The commands that answer about the past: for programs, for people, and what they refuse."""

from __future__ import annotations

import datetime
import decimal
import pathlib
import re

import asyncpg
import msgspec
import pytest

from indexer.query import assets, pools, portfolio, positions, totals
from tests.acceptance import past, stage, test_listings, truth


@pytest.fixture
async def asked(indexed: asyncpg.Connection, recorded: truth.Recorded) -> past.Past:
    return await past.Past.of(indexed, recorded)


@pytest.fixture
def environ(recorded: truth.Recorded, indexed_url: str) -> dict[str, str]:
    return stage.environment(recorded, "http://127.0.0.1:1", indexed_url)


@pytest.mark.parametrize("name", ["positions", "assets", "pools", "totals"])
async def test_commands_answer_as_the_queries_do(
    environ: dict[str, str], asked: past.Past, name: str
) -> None:
    block = 90
    question = {"positions": positions, "assets": assets, "pools": pools, "totals": totals}[name]
    expected = msgspec.to_builtins(await question.find(asked.connection, at=block))
    assert await stage.json_of(environ, name, "--at-block", str(block)) == expected
    assert int(expected["block_hash"], 16) == int(asked.recorded.hashes[block], 16)
    when = past.at_second(asked.recorded.timestamps[block]).isoformat()
    items = "pools" if name == "totals" else name
    pool = expected[items][0]["pool_id"]
    part = await stage.json_of(environ, name, "--at-time", when, "--pool", pool)
    assert part[items] == [one for one in expected[items] if one["pool_id"] == pool]
    assert part["valued_at"] == part["block_time"] == expected["block_time"]


async def test_tables_for_people_are_exact(environ: dict[str, str], asked: past.Past) -> None:
    """Block and hash first; each row has the exact amounts, trailing zeros apart."""
    block = 90
    _, out, _ = await stage.command(environ, "positions", "--at-block", str(block))
    heading, titles, *lines = out.splitlines()
    found = (await positions.find(asked.connection, at=block)).positions
    assert heading.startswith(
        f"block {block} · {past.hexed(int(asked.recorded.hashes[block], 16))}"
    )
    assert titles.split()[:5] == ["pool", "version", "user", "kind", "status"]
    assert len(lines) == len(found)
    for line, one in zip(lines, found, strict=True):
        words = line.split()
        for amount in (one.collateral_amount, one.debt_amount):
            shown = [word for word in words if word[0].isdigit() and "%" not in word]
            assert any(
                decimal.Decimal(word) == decimal.Decimal(amount)
                for word in shown
                if is_number(word)
            )
    for name in ("assets", "pools", "totals"):
        _, out, _ = await stage.command(environ, name, "--at-block", str(block))
        assert out.startswith(heading)


def is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdigit()


async def test_portfolio_of_a_user(environ: dict[str, str], asked: past.Past) -> None:
    found = (await positions.find(asked.connection, at=90)).positions
    user = found[0].user_id
    expected = await portfolio.of(asked.connection, int(user, 16), 90)
    document = await stage.json_of(environ, "portfolio", user, "--at-block", "90")
    assert document == msgspec.to_builtins(expected)
    _, out, _ = await stage.command(environ, "portfolio", user, "--at-block", "90")
    assert f"{decimal.Decimal(expected.net_usd):,.2f} USD" in out
    _, out, _ = await stage.command(environ, "portfolio", "0xb0b", "--at-block", "90")
    assert "\nnone\n" in out


async def test_position_at_a_time_and_now(environ: dict[str, str], asked: past.Past) -> None:
    """`--now` accrues to the wall clock, `--at-time` to any second, both from the last block."""
    one = next(
        one for one in (await positions.find(asked.connection)).positions if one.health is not None
    )
    named = (one.pool_id, one.collateral_address, str(one.debt_address), one.user_id)
    began = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    now = await stage.json_of(environ, "position", *named, "--now")
    ended = datetime.datetime.now(datetime.UTC)
    valued_at = datetime.datetime.fromisoformat(now["valued_at"])
    assert began <= valued_at <= ended
    assert (now["block_number"], now["id"]) == (asked.recorded.last_block, one.id)
    assert int(now["debt_raw"]) > int(one.debt_raw)
    again = await stage.json_of(environ, "position", *named, "--at-time", now["valued_at"])
    assert again == now
    # Half a second later is still the same second; a time without a zone is UTC.
    bare = f"{valued_at:%Y-%m-%dT%H:%M:%S}.500"
    assert await stage.json_of(environ, "position", *named, "--at-time", bare) == now
    _, out, _ = await stage.command(environ, "position", *named, "--at-time", bare)
    assert f"health_factor          {now['health_factor']}\n" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("positions", "--at-block", "9", "--now"), "exclude each other"),
        (("portfolio", "0x1", "--at-time", "yesterday"), "is not a time: write it as in"),
        (("assets", "--at-time", "0001-01-01T00:00:00+14:00"), "is not a time"),
        (("pools", "--at-time", "2020-01-01"), "2020-01-01 00:00:00 UTC is before the first block"),
        (("totals", "--at-block", "126"), "block 126 is above the committed block 125"),
        (("positions", "--max-health", "nan"), "is not a number such as 1.05"),
        (("positions", "--min-health", "high"), "is not a number such as 1.05"),
        (("positions", "--pool", "Nix"), "no pool 'Nix' is known"),
    ],
)
async def test_what_cannot_be_asked_ends_in_one_line(
    environ: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    _, out, err = await stage.command(environ, *arguments, expect=2)
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1


async def test_the_page_shows_what_the_commands_print(environ: dict[str, str]) -> None:
    text = (pathlib.Path(__file__).parents[2] / "docs" / "queries.md").read_text("utf-8")
    section = text.partition("## Examples")[2].partition("\n## ")[0]
    examples = re.findall(r"```\n\$ vesu-indexer ([^\n]+)\n(.*?)```", section, re.DOTALL)
    assert len(examples) == 3
    for arguments, printed in examples:
        out = test_listings.on_terminal(environ, 160, *arguments.split())
        assert [line.rstrip() for line in out.splitlines()] == printed.splitlines()
