"""Point in time: `indexer.query` and its commands against contracts, tables and each other.

Positions and their health against the contract: test_exactness.py, by the same questions.
"""

from __future__ import annotations

import datetime
import decimal
from collections import defaultdict
from collections.abc import Iterator

import asyncpg
import msgspec
import pytest

from indexer import errors
from indexer.query import assets, point_in_time, pools, portfolio, positions, totals
from indexer.recording import server
from indexer.store import database
from tests import postgres
from tests.acceptance import past, stage, truth


@pytest.fixture
async def asked(indexed: asyncpg.Connection, recorded: truth.Recorded) -> past.Past:
    return await past.Past.of(indexed, recorded)


# --- equal to the contracts' views --------------------------------------------------------


ASSET_FIELDS = (
    "total_collateral_shares",
    "total_nominal_debt",
    "reserve",
    "max_utilization",
    "floor",
    "scale",
    "last_rate_accumulator",
    "last_full_utilization_rate",
    "fee_rate",
    "fee_shares",
)
MODEL_FIELDS = (
    "min_target_utilization",
    "max_target_utilization",
    "target_utilization",
    "min_full_utilization_rate",
    "max_full_utilization_rate",
    "zero_utilization_rate",
    "rate_half_life",
    "target_rate_percent",
)


async def test_assets_equal_the_contract(asked: past.Past) -> None:
    """asset_config(), rate_accumulator(), utilization() and interest_rate_config()."""
    compared = 0
    for block, pool, (asset,), felts in asked.recorded.answered("asset_config"):
        one = (await asked.ask(past.every_asset, block))[past.hexed(pool), past.hexed(asset)]
        theirs = truth.u256s(felts[:12]) + truth.u256s(felts[14:22])
        ours = [int(getattr(one, field)) for field in ASSET_FIELDS]
        assert ours == theirs, f"asset_config of {asset:#x} at block {block}"
        assert (one.is_legacy, one.last_updated) == (bool(felts[12]), past.at_second(felts[13]))
        compared += 12
    for view, ours_of in (
        ("rate_accumulator", lambda one: [int(one.last_rate_accumulator)]),
        ("utilization", lambda one: [int(decimal.Decimal(one.utilization).scaleb(18))]),
        ("interest_rate_config", lambda one: [int(getattr(one, f)) for f in MODEL_FIELDS]),
    ):
        for block, pool, calldata, result in asked.recorded.answered(view):
            one = (await asked.ask(past.every_asset, block))[
                past.hexed(pool), past.hexed(calldata[0])
            ]
            theirs = truth.u256s(result)
            assert ours_of(one) == theirs, f"{view} of {calldata[0]:#x} at block {block}"
            compared += len(theirs)
    print(f"compared {compared} values of assets")
    assert compared > 29_000


async def test_pairs_equal_the_contract(asked: past.Past) -> None:
    """pair_config() and pairs(): zeros where there is no row yet."""
    compared = 0
    for view, fields in (
        ("pair_config", ("max_ltv_raw", "liquidation_factor_raw", "debt_cap_raw")),
        ("pairs", ("pair_collateral_shares", "pair_nominal_debt")),
    ):
        for block, pool, (collateral, debt), result in asked.recorded.answered(view):
            found = await asked.ask(past.every_pair, block)
            one = found.get((past.hexed(pool), past.hexed(collateral), past.hexed(debt)))
            ours = [0 if one is None else int(getattr(one, field)) for field in fields]
            theirs = result if view == "pair_config" else truth.u256s(result)
            assert ours == theirs, f"{view} of {collateral:#x} at block {block}"
            compared += len(ours)
    print(f"compared {compared} values of pairs")
    assert compared > 10_000


async def test_v_tokens_equal_the_contract(asked: past.Past) -> None:
    """balance_of(), convert_to_assets() of the balance, total_supply() of every vToken."""
    v_tokens = asked.recorded.v_tokens
    balances: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    compared = 0
    for block, contract, calldata, result in asked.recorded.answered("balance_of"):
        if contract not in v_tokens:
            continue
        entry, found = v_tokens[contract], await asked.ask(past.every_position, block)
        key = (entry["pool"], entry["asset"])
        pool, asset = (past.hexed(int(text, 16)) for text in key)
        one = found.get((pool, asset, None, past.hexed(contract), past.hexed(calldata[0])))
        balance = 0 if one is None else int(one.vtoken_balance_raw)
        assert balance == truth.u256s(result)[0], f"balance at block {block}"
        if one is not None:
            balances[block, contract][balance] = int(one.collateral_raw)
        compared += 1
    for block, contract, calldata, result in asked.recorded.answered("convert_to_assets"):
        worth = balances[block, contract].get(truth.u256s(calldata)[0])
        if worth is not None:
            assert worth == truth.u256s(result)[0], f"worth of {calldata} at block {block}"
            compared += 1
    for block, contract, _, result in asked.recorded.answered("total_supply"):
        if contract in v_tokens:
            found = await asked.ask(past.every_position, block)
            held = [one for one in found.values() if one.v_token == past.hexed(contract)]
            supply = sum(int(one.vtoken_balance_raw) for one in held)
            assert supply == truth.u256s(result)[0], f"supply of {contract:#x} at block {block}"
            compared += 1
    print(f"compared {compared} values of vTokens")
    assert compared > 7_000


async def test_totals_equal_the_contract(asked: past.Past) -> None:
    """What a pool holds and has lent, worked out anew from the contract's asset_config()."""
    compared = 0
    for block, pool, (asset,), felts in asked.recorded.answered("asset_config"):
        found = await asked.ask(past.every_total, block)
        pool_totals = {one.pool_id: one for one in found.pools}[past.hexed(pool)]
        one = {one.asset_address: one for one in pool_totals.assets}[past.hexed(asset)]
        wide = truth.u256s(felts[:12]) + truth.u256s(felts[14:22])
        nominal, reserve, scale, accumulator = wide[1], wide[2], wide[5], wide[6]
        owed = nominal * accumulator * scale // 10**36
        assert (int(one.total_borrow_raw), int(one.total_supply_raw)) == (owed, owed + reserve)
        assert decimal.Decimal(one.total_borrow) * scale == owed
        compared += 2
    print(f"compared {compared} totals")
    assert compared > 2_000


# --- equal to the current tables ----------------------------------------------------------


def differences(one: msgspec.Struct, row: asyncpg.Record, leaving: set[str]) -> Iterator[str]:
    """The columns that an answer and a current row both have and hold differently."""
    for name, value in msgspec.structs.asdict(one).items():
        if name in row.keys() and name not in leaving and not past.same(value, row[name]):  # noqa: SIM118
            yield f"{name}: {value} is stored as {row[name]}"


async def test_positions_equal_the_current_table(indexed: asyncpg.Connection) -> None:
    """Every shared column of vesu_positions, at the block that each row was valued at."""
    compared = 0
    rows = await indexed.fetch("SELECT * FROM vesu_positions")
    for block in {row["valued_at_block"] for row in rows}:
        found = {one.id: one for one in (await positions.find(indexed, at=block)).positions}
        for row in rows:
            if row["valued_at_block"] == block:
                assert not list(differences(found[str(row["id"])], row, set()))
                compared += len(positions.Position.__struct_fields__) - 1
    now = (await positions.find(indexed)).positions
    assert {one.id for one in now} == {str(row["id"]) for row in rows}
    print(f"compared {compared} columns of {len(rows)} positions")
    assert compared > 2_500


ACCRUED_SINCE = {"total_collateral_shares", "fee_shares", "last_rate_accumulator"}
ACCRUED_SINCE |= {"last_full_utilization_rate", "last_updated"}
RATES = {"utilization", "supply_apy", "borrow_apy"}
PRICES = {"price", "price_usd", "price_is_valid", "price_block", "price_timestamp"}
PRICES |= {"total_supply_usd", "total_borrow_usd"}


async def test_assets_equal_the_current_table(indexed: asyncpg.Connection) -> None:
    """Every shared column of vesu_assets at each row's own block; at the head what stands still."""
    rows = await indexed.fetch("SELECT * FROM vesu_assets")
    now = {one.id: one for one in (await assets.find(indexed)).assets}
    assert set(now) == {str(row["id"]) for row in rows}
    samples = await indexed.fetch(
        "SELECT DISTINCT id, price.block_number > asset.block_number FROM vesu_assets AS asset"
        " JOIN vesu_prices AS price ON price.asset_id = asset.id WHERE price.source = 'sample'"
    )
    sampled = {tuple(sample) for sample in samples}
    compared = 0
    for row in rows:
        assert not list(differences(now[str(row["id"])], row, ACCRUED_SINCE | RATES))
        then = await assets.find(indexed, at=row["block_number"])
        one = next(one for one in then.assets if one.id == str(row["id"]))
        # A price that was sampled later is compared with the answer at the head alone.
        sampled_later = (row["id"], True) in sampled
        assert not list(differences(one, row, PRICES if sampled_later else set()))
        assert row["last_updated"] == then.block_time, "interest since then is in no column"
        compared += len(set(row.keys()) & set(assets.Asset.__struct_fields__))
    print(f"compared {compared} columns of {len(rows)} assets")
    assert compared > 500


MARKET = {"total_supply", "total_borrow"} | RATES


async def test_pools_equal_the_current_table(indexed: asyncpg.Connection) -> None:
    """Every shared column of vesu_pools: each at the block whose event it was written at."""
    rows = await indexed.fetch("SELECT * FROM vesu_pools")
    moved = {
        (row["pool_id"], row["asset_address"]): row["block_number"]
        for row in await indexed.fetch("SELECT * FROM vesu_assets")
    }
    now = {one.id: one for one in (await pools.find(indexed)).pools}
    assert set(now) == {str(row["id"]) for row in rows}
    compared = 0
    for row in rows:
        shared = set(row.keys()) & set(pools.Pool.__struct_fields__)
        supply = {"collateral_supply_apy"}
        for block, columns in (
            (row["last_synced_block"], shared - MARKET - supply),
            (moved[row["pool_id"], row["debt_address"]], MARKET),
            (moved[row["pool_id"], row["collateral_address"]], supply),
        ):
            found = {one.id: one for one in (await pools.find(indexed, at=block)).pools}
            assert not list(differences(found[str(row["id"])], row, shared - columns)), block
            compared += len(columns)
    print(f"compared {compared} columns of {len(rows)} pairs")
    assert compared > 600


# --- moments ------------------------------------------------------------------------------


async def test_a_time_means_the_last_block_up_to_it(asked: past.Past) -> None:
    """Asked by its time, a stored block gives the same answer as by its number."""
    times: dict[int, int] = {
        asked.recorded.timestamps[block]: block for block in sorted(asked.stored)
    }
    compared = 0
    previous: point_in_time.Moment | None = None
    for seconds, block in sorted(times.items()):
        by_number = await positions.find(asked.connection, at=block)
        assert await positions.find(asked.connection, at=past.at_second(seconds)) == by_number
        assert int(by_number.block_hash, 16) == int(asked.recorded.hashes[block], 16)
        assert by_number.valued_at == by_number.block_time == past.at_second(seconds)
        if previous is not None:
            before = await point_in_time.moment(asked.connection, past.at_second(seconds - 1))
            assert (before.block_number, before.block_hash) == previous.parts[:2]
            assert before.valued_at == past.at_second(seconds - 1)
        previous = by_number
        compared += 1
    assert compared > 90


async def test_moments_that_cannot_be_known(asked: past.Past) -> None:
    first, last = min(asked.stored), asked.recorded.last_block
    for at, words in (
        (first - 1, f"block {first - 1} is before the first block"),
        (past.at_second(asked.recorded.timestamps[first] - 1), "is before the first block"),
        (last + 1, f"block {last + 1} is above the committed block {last}"),
    ):
        with pytest.raises(errors.NotFoundError, match=words):
            await point_in_time.moment(asked.connection, at)


async def test_nothing_is_committed_yet(migrated_database_url: str) -> None:
    connection = await asyncpg.connect(migrated_database_url)
    try:
        for at in (None, 7, datetime.datetime.now(datetime.UTC)):
            with pytest.raises(errors.NothingCommittedError, match="no block is committed yet"):
                await positions.find(connection, at=at)
    finally:
        await connection.close()


async def test_interest_after_the_committed_block(
    indexed: asyncpg.Connection, recorded: truth.Recorded
) -> None:
    """Asked for a time ahead of it, a database answers what the contract says at that time.

    One that knows no block after 84 is asked for the times of those to come; the positions
    whose markets nothing touched until then must be worth what the contract says then.
    """
    known = 84
    touched = {
        (row["pool_id"], row["asset_address"]): row["block"]
        for row in await indexed.fetch(
            "SELECT pool_id, asset_address, min(block_number) AS block FROM vesu_asset_history "
            "WHERE block_number > $1 GROUP BY pool_id, asset_address",
            known,
        )
    }
    compared = 0
    async with postgres.fresh_database(migrated=True) as url:
        async with server.RecordingServer(recorded.chain) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(environ, "run", "--until-block", str(known), "--no-serve")
        connection = await database.connect(url)
        earlier = await past.Past.of(connection, recorded)
        for block, pool, (collateral, debt, user), result in recorded.answered("position"):
            key = (past.hexed(pool), past.hexed(collateral), past.hexed(debt))
            first = min(touched.get((key[0], asset), block + 1) for asset in key[1:])
            if block <= known or first <= block:
                continue
            found = await earlier.ask(past.every_position, block)
            one = found.get((*key, None, past.hexed(user)))
            ours = [0, 0] if one is None else [int(one.collateral_raw), int(one.debt_raw)]
            assert ours == truth.u256s(result)[2:], f"{key} at block {block}"
            compared += 2
        ahead = await positions.find(connection, at=past.at_second(recorded.timestamps[125]))
        assert (ahead.block_number, int(ahead.block_hash, 16)) == (
            known,
            int(recorded.hashes[known], 16),
        )
        await connection.close()
    print(f"compared {compared} amounts at times after the committed block")
    assert compared > 200


async def test_questions_inside_one_transaction_see_one_commit(migrated_database_url: str) -> None:
    """A block that is committed between two questions of an answer is in neither of them."""
    reader = await asyncpg.connect(migrated_database_url)
    writer = await asyncpg.connect(migrated_database_url)

    async def commit(number: int) -> None:
        await writer.execute(
            "INSERT INTO blocks (number, hash, parent_hash, timestamp) VALUES ($1, $2, $2, $3)",
            number,
            past.hexed(number),
            past.at_second(number),
        )
        await writer.execute("UPDATE cursor SET block_number = $1", number)

    try:
        await writer.execute(
            "INSERT INTO cursor (chain_id, start_block, block_number, fold_version) "
            "VALUES ('0x1', 0, 0, 1)"
        )
        await commit(7)
        async with point_in_time.steady(reader):
            before = await point_in_time.moment(reader)
            await commit(8)
            assert await point_in_time.moment(reader) == before
            # A caller's own transaction is taken as it is.
            async with point_in_time.steady(reader):
                assert await point_in_time.moment(reader) == before
        assert (before.block_number, before.now) == (7, 7)
        assert (await point_in_time.moment(reader)).block_number == 8
    finally:
        await writer.close()
        await reader.close()


# --- filters, portfolios and sums ---------------------------------------------------------


async def test_positions_are_filtered_as_asked(asked: past.Past) -> None:
    block = 90
    every = (await positions.find(asked.connection, at=block)).positions
    healths = [one.health for one in every]
    known = [health for health in healths if health is not None]
    assert known == sorted(known)
    assert healths == known + [None] * (len(healths) - len(known))
    pool, user, middle = every[0].pool_id, every[0].user_id, known[len(known) // 2]
    for wanted, belongs in (
        (positions.PositionFilter(pool=int(pool, 16)), lambda one: one.pool_id == pool),
        (positions.PositionFilter(user=int(user, 16)), lambda one: one.user_id == user),
        (positions.PositionFilter(status="closed"), lambda one: one.status == "closed"),
        (positions.PositionFilter(min_health=middle), lambda one: (one.health or 0) >= middle),
        (
            positions.PositionFilter(max_health=middle),
            lambda one: one.health is not None and one.health < middle,
        ),
    ):
        found = (await positions.find(asked.connection, wanted, block)).positions
        assert found == [one for one in every if belongs(one)]
        assert 0 < len(found) < len(every)


async def test_a_status_is_that_of_the_moment(asked: past.Past) -> None:
    """A position that is closed now was active at the block of its first event."""
    closed = await positions.find(asked.connection, positions.PositionFilter(status="closed"))
    assert closed.positions
    for one in closed.positions:
        opened = await positions.find(asked.connection, at=one.created_at)
        statuses = {then.id: then.status for then in opened.positions}
        assert statuses[one.id] == "active"


def exactly(texts: list[str | None]) -> decimal.Decimal:
    with decimal.localcontext(prec=500):
        return sum((decimal.Decimal(text) for text in texts if text is not None), decimal.Decimal())


async def test_portfolios_hold_everything_once(asked: past.Past) -> None:
    """All users' portfolios together are all active positions; each one's sums are its own."""
    every = (
        await positions.find(asked.connection, positions.PositionFilter(status="active"))
    ).positions
    seen: list[positions.Position] = []
    for user in sorted({one.user_id for one in every}):
        found = await portfolio.of(asked.connection, int(user, 16))
        assert found.unpriced == 0
        assert found.block_number == asked.recorded.last_block
        earned = [one.collateral_value_usd for one in found.positions if one.kind == "earn"]
        pledged = [one.collateral_value_usd for one in found.positions if one.kind != "earn"]
        owed = [one.debt_value_usd for one in found.positions]
        sums = {name: decimal.Decimal(getattr(found, name)) for name in ("earn_usd", "debt_usd")}
        assert sums == {"earn_usd": exactly(earned), "debt_usd": exactly(owed)}
        assert decimal.Decimal(found.collateral_usd) == exactly(pledged)
        with decimal.localcontext(prec=500):
            net = exactly(pledged) + exactly(earned) - exactly(owed)
        assert decimal.Decimal(found.net_usd) == net
        healths = [one.health for one in found.positions if one.health is not None]
        assert (decimal.Decimal(found.lowest_health or -1)) == min(healths, default=-1)
        seen += found.positions
    assert sorted(one.id for one in seen) == sorted(one.id for one in every)
    nobody = await portfolio.of(asked.connection, 0xB0B)
    assert (nobody.positions, nobody.net_usd, nobody.lowest_health) == ([], "0", None)


async def test_what_has_no_price_is_named_and_in_no_sum(asked: past.Past) -> None:
    """Before the first price that an event told, values are missing, not zero."""
    named = 0
    for block in sorted(asked.stored)[:40]:
        found = await totals.find(asked.connection, at=block)
        members = [asset for one in found.pools for asset in one.assets]
        unpriced = [one for one in members if one.price is None and int(one.total_supply_raw)]
        assert found.unpriced == sorted({one.symbol or one.asset_address for one in unpriced})
        supplied = [one.total_supply_usd for one in members if one.price is not None]
        assert decimal.Decimal(found.supply_usd) == exactly(supplied)
        named += len(unpriced)
    assert named


async def test_an_asset_handed_on_to_the_next_generation_counts_once(asked: past.Past) -> None:
    found = (await assets.find(asked.connection)).assets
    first = msgspec.structs.replace(found[0], protocol="v1.0", id="old")
    second = msgspec.structs.replace(found[0], protocol="v1.1", id="new")
    stayed = msgspec.structs.replace(found[1], protocol="v1.0", id="stayed")
    counted = totals.newest([first, stayed, second])
    assert [one.id for one in counted] == ["stayed", "new"]
