"""Watched transactions end as the recorded receipts say, through kills and reorganisations."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from indexer.recording import playhead, server
from tests import postgres
from tests.acceptance import stage, truth, truth_v1

USER = "11111111-2222-4333-8444-555555555555"
NEVER_SENT = f"0x{0xDEAD:064x}"


def padded(felt: str) -> str:
    return f"0x{int(felt, 16):064x}"


def receipts(folder: Any) -> dict[str, dict[str, Any]]:
    """The recorded receipts of a branch by padded hash, each with its block."""
    found = {}
    with gzip.open(folder / "blocks.jsonl.gz", "rt") as lines:
        for block in map(json.loads, lines):
            for item in block["transactions"]:
                receipt = item["receipt"] | {"block": block}
                found[padded(receipt["transaction_hash"])] = receipt
    return found


def expected(receipt: dict[str, Any]) -> tuple[Any, ...]:
    """Status, block, its hash and time, fee, its unit and the reason, as the receipt says."""
    is_reverted = receipt["execution_status"] == "REVERTED"
    return (
        "failed" if is_reverted else "confirmed",
        receipt["block"]["block_number"],
        padded(receipt["block"]["block_hash"]),
        receipt["block"]["timestamp"],
        int(receipt["actual_fee"]["amount"], 16),
        receipt["actual_fee"]["unit"],
        receipt.get("revert_reason") if is_reverted else None,
    )


HELD = """
SELECT transaction_hash, status, block_number, block_hash,
    EXTRACT(EPOCH FROM block_time)::bigint AS at, actual_fee, fee_unit, revert_reason
FROM watches WHERE status <> 'pending'
"""


async def held(url: str) -> dict[str, tuple[Any, ...]]:
    """The decided watches."""
    return {row[0]: tuple(row)[1:] for row in await postgres.fetch(url, HELD)}


async def begin(url: str, hashes: list[str]) -> None:
    await postgres.execute(
        url, *(f"SELECT start_watch('{hash_}')" for hash_ in (*hashes, NEVER_SENT))
    )


async def until(ready: Callable[[], Awaitable[bool]], seconds: float = 200) -> None:
    async with asyncio.timeout(seconds):
        while not await ready():
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def watched(
    recorded: Any, url: str, head: playhead.Playhead | None = None, **more: str
) -> AsyncIterator[dict[str, str]]:
    """A served recording and a migrated database; the environment of commands on them."""
    loaded = head.recording if head else recorded.chain
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, url, **more)
        await stage.command(environ, "migrate")
        yield environ


async def test_every_transaction_of_a_recording_ends_as_its_receipt_says(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """Reverted ones too, of which no event tells; nothing is asked about that nobody watches."""
    wanted = receipts(recorded.folder)
    assert sum(expected(one)[0] == "failed" for one in wanted.values()) > 5
    async with watched(recorded, migrated_database_url) as environ:
        await begin(migrated_database_url, list(wanted))
        last = str(recorded.last_block)
        await stage.command(environ, "run", "--until-block", last, "--no-serve")
    found = await held(migrated_database_url)
    assert found == {hash_: expected(receipt) for hash_, receipt in wanted.items()}


@pytest.mark.parametrize("name", truth_v1.RECORDINGS)
async def test_the_same_of_earlier_generations(name: str, migrated_database_url: str) -> None:
    recorded = truth_v1.recorded(name)
    wanted = receipts(recorded.folder)
    async with watched(recorded, migrated_database_url) as environ:
        await begin(migrated_database_url, list(wanted))
        last = str(recorded.last_block)
        await stage.command(environ, "run", "--until-block", last, "--no-serve")
    assert await held(migrated_database_url) == {
        hash_: expected(receipt) for hash_, receipt in wanted.items()
    }


async def test_through_kills_and_the_recorded_reorganisation(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """What the abandoned branch decided is taken back, and decided anew by the branch that stays;
    what was on the abandoned branch alone is pending again."""
    loaded = recorded.chain
    fork = loaded.forks[0]
    main, aside = receipts(recorded.folder), receipts(fork.folder)
    head = playhead.Playhead.at_block(loaded, 84, story=True)
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, migrated_database_url)
        await stage.command(environ, "migrate")
        await begin(migrated_database_url, [*main, *aside])

        async def run_killed_at(wanted: dict[str, tuple[Any, ...]]) -> None:
            process = await stage.start(environ, "run", "--no-serve")
            try:
                await until(lambda: _equal(wanted))
            finally:
                process.kill()
                await process.communicate()

        async def _equal(wanted: dict[str, tuple[Any, ...]]) -> bool:
            return await held(migrated_database_url) == wanted

        early = {
            hash_: expected(one)
            for hash_, one in main.items()
            if one["block"]["block_number"] <= 84
        }
        await run_killed_at(early)
        head.go_to(fork.last, branch=1)
        await run_killed_at(early | {hash_: expected(one) for hash_, one in aside.items()})
        head.go_to(loaded.main.last)
        final = {hash_: expected(one) for hash_, one in main.items()}
        await run_killed_at(final)
    lost = aside.keys() - main.keys()
    states = await postgres.fetch(
        migrated_database_url,
        "SELECT DISTINCT status, block_number FROM watches WHERE transaction_hash = ANY ($1)",
        list(lost),
    )
    assert lost
    assert [tuple(row) for row in states] == [("pending", None)]


async def test_one_never_seen_is_dropped_and_back_if_it_comes(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    loaded = recorded.chain
    late = next(
        hash_
        for hash_, one in receipts(recorded.folder).items()
        if one["block"]["block_number"] == 22
    )
    head = playhead.Playhead.at_block(loaded, 20)

    async def status_of(hash_: str) -> str:
        found = await stage.json_of(environ, "watch", hash_, "--no-start")
        return str(found["status"])

    async with watched(
        recorded, migrated_database_url, head, VESU_WATCH_DROP_AFTER_SECONDS="0.5"
    ) as environ:
        begun = await stage.json_of(environ, "watch", late)
        assert (begun["status"], begun["seen"]) == ("pending", "not_seen")
        await begin(migrated_database_url, [])
        process = await stage.start(environ, "run", "--no-serve")
        try:
            dropped = "SELECT count(*) = 2 FROM watches WHERE status = 'dropped'"
            await until(lambda: postgres.value(migrated_database_url, dropped))
            assert await status_of(late) == await status_of(NEVER_SENT) == "dropped"
            head.go_to(22)
            # What was dropped is asked about again after a while; a tenth of its age at first.
            back = f"SELECT status = 'confirmed' FROM watches WHERE transaction_hash = '{late}'"
            await until(lambda: postgres.value(migrated_database_url, back))
            assert await status_of(NEVER_SENT) == "dropped"
        finally:
            process.kill()
            await process.communicate()


async def test_the_guides_example_needs_no_code_of_the_applications(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """Created pending, confirmed by the application, shown as the chain has it once it has it."""
    loaded = recorded.chain
    done = [json.loads(line) for line in (recorded.folder / "operations.jsonl").open()]
    borrowed = next(
        one for one in done if one["op"] == "borrow" and not one["reverted"] and one["assets"]
    )
    failed = next(one for one in done if one["reverted"] and one["op"] == "borrow")
    first = min(borrowed["block_number"], failed["block_number"]) - 1
    head = playhead.Playhead.at_block(loaded, first)
    asset = next(
        token["symbol"]
        for token in recorded.manifest["tokens"].values()
        if token["address"] == borrowed["debt_asset"]
    )
    async with watched(recorded, migrated_database_url, head) as environ:
        for one in (borrowed, failed):
            await postgres.execute(
                migrated_database_url,
                "INSERT INTO vesu_guide.vesu_transactions "
                "(user_id, transaction_hash, type, asset, amount, status) "
                f"VALUES ('{USER}', '{one['tx_hash']}', 'borrow', '{asset}', 1, 'pending')",
                "UPDATE vesu_guide.vesu_transactions SET status = 'confirmed', block_number = 5, "
                f"timestamp = now(), gas_used = 7 WHERE transaction_hash = '{one['tx_hash']}'",
            )
        mine = f"SELECT * FROM vesu_guide.vesu_transactions WHERE user_id = '{USER}' ORDER BY "
        before = await postgres.fetch(migrated_database_url, mine + "status")
        assert [row["status"] for row in before] == ["pending", "pending"]
        last = max(borrowed["block_number"], failed["block_number"])
        head.go_to(last)
        await stage.command(environ, "run", "--until-block", str(last), "--no-serve")
        seen = await stage.json_of(environ, "watch", failed["tx_hash"])
    confirmed, refused = await postgres.fetch(migrated_database_url, mine + "status")
    told = receipts(recorded.folder)
    receipt = told[padded(borrowed["tx_hash"])]
    assert (confirmed["status"], confirmed["block_number"]) == (
        "confirmed",
        borrowed["block_number"],
    )
    assert int(confirmed["gas_used"].scaleb(18)) == int(receipt["actual_fee"]["amount"], 16)
    assert confirmed["fee_unit"] == receipt["actual_fee"]["unit"]
    assert confirmed["timestamp"].timestamp() == receipt["block"]["timestamp"]
    assert await postgres.value(
        migrated_database_url,
        "SELECT sum(amount_raw) FROM vesu_transactions WHERE transaction_hash = $1 "
        "AND type = 'borrow'",
        padded(borrowed["tx_hash"]),
    ) == int(borrowed["assets"])
    assert await postgres.value(
        migrated_database_url,
        "SELECT count(*) FROM vesu_guide.vesu_transactions WHERE transaction_hash = $1",
        padded(borrowed["tx_hash"]),
    ) == await postgres.value(
        migrated_database_url,
        "SELECT count(*) FROM vesu_transactions WHERE transaction_hash = $1",
        padded(borrowed["tx_hash"]),
    )
    reverted = told[padded(failed["tx_hash"])]
    assert (refused["status"], refused["block_number"]) == ("failed", failed["block_number"])
    assert refused["error_message"] == seen["error_message"] == reverted["revert_reason"]
    assert (seen["status"], seen["seen"], seen["effects"]) == ("failed", "indexed", 0)
    assert seen["gas_used"] == str(refused["gas_used"])
