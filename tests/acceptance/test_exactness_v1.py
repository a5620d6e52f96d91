"""Vesu V1: every number equals the contracts' own answers, at every block of three recordings.

Genesis' first code, V1.0, V1.1a, V1.1b, the migration between them and a reorganisation. Each
test prints how many values it compared, by generation and view, and shows all kinds of
differences at once.
"""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import msgspec
import pytest

from indexer.query import positions
from indexer.recording import chain, playhead, server
from indexer.store import database
from indexer.vesu import accrual, maths
from tests import postgres
from tests.acceptance import compare_v1, stage, tables_v1, truth_v1


class Gap(NamedTuple):
    """Blocks in which no event tells what a view answers; the next context repairs it."""

    view: str
    field: str
    asset: str
    blocks: tuple[int, ...]
    why: str

    def has(self, one: compare_v1.Difference) -> bool:
        asset = hex(one.arguments["asset"])
        return (one.view, one.field, asset) == self[:3] and one.block in self.blocks


ETH = "0x49d36570d4e46f48e99674bd3fcc84644ddd6b96f7c741b1562b82f9e004dc7"
REMODELLED = "set_interest_rate_parameter in block 29, just after an accrual, told nobody"
UNTOLD = {
    "devnet-v10-genesis": (
        Gap("interest_rate_config", "target_rate_percent", ETH, (29, 30, 31), REMODELLED),
    ),
}
"""All that is not exact. A gap that closes must leave this list."""


def compare(indexed: tables_v1.Indexed, *views: str) -> None:
    """Compare all answers of these views; fail with all kinds of differences."""
    comparison = compare_v1.Comparison(indexed.recorded, indexed.tables)
    comparison.run(*views)
    print(f"{indexed.recorded.name}:\n{comparison.report()}")
    unknowable = {
        gap: [one for one in comparison.differences if gap.has(one)]
        for gap in UNTOLD.get(indexed.recorded.name, ())
        if gap.view in views
    }
    for gap, found in unknowable.items():
        print(f"{len(found)} values: {gap.why}")
        assert {one.block for one in found} == set(gap.blocks), f"no longer so: {gap}"
    explained = [one for found in unknowable.values() for one in found]
    differences = [one for one in comparison.differences if one not in explained]
    assert not differences, comparison.report()
    answered = {(one.generation, one.view) for one in indexed.recorded.answered(*views)}
    assert answered
    assert set(comparison.compared) == answered


@pytest.mark.parametrize("name", truth_v1.RECORDINGS)
def test_every_recorded_answer_is_read(name: str) -> None:
    """All answers fit the ABI of the class that gave them, to the last felt."""
    counts = truth_v1.recorded(name).counts()
    for (view, generation), (good, bad) in counts.items():
        print(f"{view:32} {generation:14} {good:6} answers {bad:4} errors")
    assert sum(good for good, _ in counts.values()) > 6_000


def test_asset_configurations(indexed_v1: tables_v1.Indexed) -> None:
    """The accrued asset state, all 11 fields, and the fee shares that nobody has yet."""
    compare(indexed_v1, "asset_config", "asset_config_unsafe")


def test_rates_and_utilisation(indexed_v1: tables_v1.Indexed) -> None:
    compare(indexed_v1, "rate_accumulator_unsafe", "utilization_unsafe", "interest_rate")


def test_rate_models(indexed_v1: tables_v1.Indexed) -> None:
    """All 8 parameters; changes of them emit no event in V1."""
    compare(indexed_v1, "interest_rate_config")


def test_prices(indexed_v1: tables_v1.Indexed) -> None:
    """Prices that events told, in the block that told them."""
    compare(indexed_v1, "price")


def test_pairs(indexed_v1: tables_v1.Indexed) -> None:
    """Limits, debt caps and totals of every pair."""
    compare(indexed_v1, "ltv_config", "liquidation_config", "debt_caps", "pairs")


def test_positions_and_amounts(indexed_v1: tables_v1.Indexed) -> None:
    """Shares, nominal debt, collateral (down) and debt (up); V1.1 reads through to V1.0."""
    compare(indexed_v1, "position", "position_unsafe")


def test_collateralisation(indexed_v1: tables_v1.Indexed) -> None:
    """Values, and health_factor < 1 exactly where the contract says no, at the block's prices."""
    compare(indexed_v1, "check_collateralization_unsafe")


def test_v_token_balances(indexed_v1: tables_v1.Indexed) -> None:
    compare(indexed_v1, "balance_of", "total_supply", "total_assets", "convert_to_assets")


async def test_current_positions(indexed_v1: tables_v1.Indexed) -> None:
    """vesu_positions, each row at its `valued_at_block`."""
    answers = Worth(indexed_v1)
    for row in await indexed_v1.fetch("SELECT * FROM vesu_positions"):
        answers.check(dict(row), row["valued_at_block"])
    print(f"{indexed_v1.recorded.name}: rows of vesu_positions {dict(answers.compared)}")
    assert answers.compared.total() > 40


async def test_positions_as_people_ask_for_them(indexed_v1: tables_v1.Indexed) -> None:
    """The query behind the API and `position`, at every stored block."""
    answers, blocks = Worth(indexed_v1), 0
    connection = await database.connect(indexed_v1.url)
    try:
        for block in answers.blocks:
            found = await positions.find(connection, at=block)
            if found.block_number == block:
                blocks += 1
                for position in found.positions:
                    answers.check(msgspec.structs.asdict(position), block)
    finally:
        await connection.close()
    print(f"{indexed_v1.recorded.name}: {blocks} blocks, {dict(answers.compared)}")
    assert answers.compared.total() > 1_000


class Worth:
    """What the contracts say positions are worth, at the end of a block."""

    def __init__(self, indexed: tables_v1.Indexed) -> None:
        recorded = indexed.recorded
        self._pools = indexed.tables.pools
        self._held = {
            (one.block, one.contract, *one.arguments.values()): (
                one.value.collateral,
                one.value.debt,
            )
            for one in recorded.answered("position_unsafe")
        }
        self._assets = {
            (one.block, one.contract, *one.arguments.values()): one.value
            for one in recorded.answered("convert_to_assets")
        }
        self._markets = {
            (one.block, one.contract, *one.arguments.values()): one.value.config
            for one in recorded.answered("asset_config_unsafe")
        }
        self.blocks = sorted({block for block, *_ in self._held})
        self.compared: collections.Counter[str] = collections.Counter()

    def check(self, row: dict[str, Any], block: int) -> None:
        """A row of a position; of V1.0 those that V1.1 took over by what V1.1 says."""
        names = ("pool_address", "pool_id", "collateral_address", "debt_address", "user_id")
        singleton, pool_id, collateral, debt, user = (int(row[one] or "0x0", 16) for one in names)
        pool = self._pools.at(tables_v1.PoolAt(singleton, pool_id), block)
        is_taken_over = pool is not None and bool(pool.successor)
        if pool is not None and pool.successor:
            singleton = pool.successor
        kind, theirs = row["protocol"], None
        if row["migrated_block"] is not None:
            kind, theirs = "migrated", (0, 0)
            assert row["status"] == "closed"
        elif row["v_token"] is None:
            theirs = self._held.get((block, singleton, pool_id, collateral, debt, user))
        else:
            kind, balance = f"{kind} vToken", int(row["vtoken_balance_raw"])
            assets = self._assets.get((block, int(row["v_token"], 16), balance))
            if is_taken_over:
                # One for one a claim on V1.1, where nobody asks about a V1.0 balance.
                market = self._markets.get((block, singleton, pool_id, collateral))
                assets = None if market is None else _worth(balance, market)
            theirs = None if assets is None else (assets, 0)
        if is_taken_over and kind != "migrated":
            kind += ", not migrated"
        ours = (int(row["collateral_raw"]), int(row["debt_raw"]))
        if theirs is not None:  # else nobody asked for it in this block
            assert ours == theirs, f"block {block}: {row}"
            self.compared[kind] += 1


def _worth(shares: int, market: truth_v1.AssetConfig) -> int:
    held = accrual.AssetState(**msgspec.structs.asdict(market), variant=maths.Variant.V1_0)
    return accrual.collateral_of(shares, held)


def test_pool_settings(indexed_v1: tables_v1.Indexed) -> None:
    """Extension, name, owner, fee recipient and vTokens of every pool."""
    views = ("extension", "pool_name", "pool_owner", "fee_config")
    compare(indexed_v1, *views, "v_token_for_collateral_asset")


def test_one_unit_is_seen(indexed_v1: tables_v1.Indexed) -> None:
    """The comparison itself: a change of one unit in any table is a difference."""
    recorded, tables = indexed_v1.recorded, indexed_v1.tables
    for versions, field, view in (
        (tables.assets, "reserve", "asset_config_unsafe"),
        (tables.assets, "last_rate_accumulator", "rate_accumulator_unsafe"),
        (tables.pairs, "max_ltv", "ltv_config"),
        (tables.pairs, "total_nominal_debt", "pairs"),
        (tables.positions, "nominal_debt", "position_unsafe"),
        (tables.holdings, "vtoken_balance", "total_supply"),
    ):
        with versions.off_by_one(field):
            comparison = compare_v1.Comparison(recorded, tables)
            comparison.run(view)
        assert comparison.differences, f"{field} of {view}"


def test_protocols(indexed_v1: tables_v1.Indexed) -> None:
    """Rows of each singleton's pools bear its generation."""
    expected = {
        indexed_v1.recorded.address(name): {protocol}
        for name, protocol in (("singleton_v10", "v1.0"), ("singleton_v11", "v1.1"))
        if indexed_v1.recorded.address(name)
    }
    assert indexed_v1.tables.protocols == expected


async def test_the_abandoned_branch_while_it_was_the_chain() -> None:
    """The same on the branch of devnet-v11's reorganisation, before it was abandoned."""
    loaded = chain.load(truth_v1.DATA / "devnet-v11")
    fork = loaded.forks[0]
    head = playhead.Playhead.at_block(loaded, fork.common, story=True)
    head.go_to(fork.last, branch=fork.index)
    branch = truth_v1.recorded("devnet-v11", fork.index)
    async with postgres.fresh_database(migrated=True) as url:
        async with server.RecordingServer(loaded, head) as node:
            await stage.command(
                stage.environment(branch, node.url, url),
                *("run", "--until-block", str(fork.last), "--no-serve"),
            )
        compare(await tables_v1.Indexed.read(branch, url), *compare_v1.VIEWS)
