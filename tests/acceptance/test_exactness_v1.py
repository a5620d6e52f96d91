"""Vesu V1: every number equals the contracts' own answers, at every block of three recordings.

Genesis' first code, V1.0, V1.1a, V1.1b, the migration between them and a reorganisation. Each
test prints how many values it compared, by generation and view, and shows all kinds of
differences at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from indexer.recording import chain, playhead, server
from indexer.store import database
from tests import postgres
from tests.acceptance import compare_v1, stage, truth_v1


class Indexed(NamedTuple):
    """A recording, the database that the shipped command filled from it, and its histories."""

    recorded: truth_v1.RecordedV1
    url: str
    tables: compare_v1.Tables


@pytest.fixture(scope="session", params=truth_v1.RECORDINGS)
async def indexed(request: pytest.FixtureRequest) -> AsyncIterator[Indexed]:
    recorded = truth_v1.recorded(request.param)
    async with postgres.fresh_database() as url:
        async with server.RecordingServer(recorded.chain) as node:
            await stage.command(
                stage.environment(recorded, node.url, url),
                *("run", "--until-block", str(recorded.last_block), "--no-serve"),
            )
        yield Indexed(recorded, url, await _tables(url))


async def _tables(url: str) -> compare_v1.Tables:
    connection = await database.connect(url)
    try:
        return await compare_v1.Tables.read(connection)
    finally:
        await connection.close()


def compare(indexed: Indexed, *views: str) -> None:
    """Compare all answers of these views; fail with all kinds of differences."""
    comparison = compare_v1.Comparison(indexed.recorded, indexed.tables)
    comparison.run(*views)
    print(f"{indexed.recorded.name}:\n{comparison.report()}")
    assert not comparison.differences, comparison.report()
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


def test_asset_configurations(indexed: Indexed) -> None:
    """The accrued asset state, all 11 fields, and the fee shares that nobody has yet."""
    compare(indexed, "asset_config", "asset_config_unsafe")


def test_rates_and_utilisation(indexed: Indexed) -> None:
    compare(indexed, "rate_accumulator_unsafe", "utilization_unsafe", "interest_rate")


def test_rate_models(indexed: Indexed) -> None:
    """All 8 parameters; changes of them emit no event in V1."""
    compare(indexed, "interest_rate_config")


def test_prices(indexed: Indexed) -> None:
    """Prices that events told, in the block that told them."""
    compare(indexed, "price")


def test_pairs(indexed: Indexed) -> None:
    """Limits, debt caps and totals of every pair."""
    compare(indexed, "ltv_config", "liquidation_config", "pairs")
    if any(indexed.recorded.answered("debt_caps")):
        compare(indexed, "debt_caps")


def test_positions_and_amounts(indexed: Indexed) -> None:
    """Shares, nominal debt, collateral (down) and debt (up); V1.1 reads through to V1.0."""
    compare(indexed, "position", "position_unsafe")


def test_collateralisation(indexed: Indexed) -> None:
    """Values, and health_factor < 1 exactly where the contract says no, at the block's prices."""
    compare(indexed, "check_collateralization_unsafe")


def test_v_token_balances(indexed: Indexed) -> None:
    compare(indexed, "balance_of", "total_supply", "total_assets", "convert_to_assets")


def test_protocols(indexed: Indexed) -> None:
    """Rows of each singleton's pools bear its generation."""
    expected = {
        indexed.recorded.address(name): {protocol}
        for name, protocol in (("singleton_v10", "v1.0"), ("singleton_v11", "v1.1"))
        if indexed.recorded.address(name)
    }
    assert indexed.tables.protocols == expected


async def test_the_abandoned_branch_while_it_was_the_chain() -> None:
    """The same on the branch of devnet-v11's reorganisation, before it was abandoned."""
    loaded = chain.load(truth_v1.DATA / "devnet-v11")
    fork = loaded.forks[0]
    head = playhead.Playhead.at(loaded, fork.common, story=True)
    head.go_to(fork.last, branch=fork.index)
    branch = truth_v1.recorded("devnet-v11", fork.index)
    async with postgres.fresh_database() as url:
        async with server.RecordingServer(loaded, head) as node:
            await stage.command(
                stage.environment(branch, node.url, url),
                *("run", "--until-block", str(fork.last), "--no-serve"),
            )
        compare(Indexed(branch, url, await _tables(url)), *compare_v1.VIEWS)
