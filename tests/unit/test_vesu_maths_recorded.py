"""The integer maths against the contracts' own answers in a recorded chain."""

from __future__ import annotations

import pytest

from indexer.vesu import accrual, events, maths
from indexer.vesu.v2 import events as events_v2
from tests.acceptance import truth


@pytest.fixture(scope="module")
def recorded() -> truth.Recorded:
    return truth.devnet_a()


@pytest.fixture(scope="module")
def configs(recorded: truth.Recorded) -> dict[tuple[int, int, int], events_v2.AssetConfig]:
    """asset_config's answers by block, pool and asset: accrued to the block's time."""
    return {
        (block, pool, asset): config_of(answer)
        for block, pool, (asset,), answer in recorded.answered("asset_config")
    }


def config_of(answer: list[int]) -> events_v2.AssetConfig:
    numbers = truth.u256s(answer[:12])
    later = truth.u256s(answer[14:])
    return events_v2.AssetConfig(*numbers, bool(answer[12]), answer[13], *later)  # type: ignore[call-arg]


def total_debt(config: events_v2.AssetConfig) -> int:
    return maths.calculate_debt(
        config.total_nominal_debt, config.last_rate_accumulator, config.scale, up=False
    )


def test_recorded_utilizations(recorded: truth.Recorded, configs: dict) -> None:
    answers = recorded.answered("utilization")
    for block, pool, (asset,), answer in answers:
        config = configs[block, pool, asset]
        assert [maths.utilization(config.reserve, total_debt(config))] == truth.u256s(answer)
    print(f"{len(answers)} utilisations")
    assert len(answers) > 1000


def test_recorded_interest_rates(recorded: truth.Recorded) -> None:
    models = {
        (block, pool, asset): events.InterestRateConfig(*truth.u256s(answer))
        for block, pool, (asset,), answer in recorded.answered("interest_rate_config")
    }
    answers = recorded.answered("interest_rate")
    for block, pool, arguments, answer in answers:
        (used, full), updated = truth.u256s(arguments[1:3] + arguments[4:]), arguments[3]
        elapsed = recorded.timestamps[block] - updated
        rate, _ = maths.interest_rate(models[block, pool, arguments[0]], used, elapsed, full)
        assert [rate] == truth.u256s(answer)
    print(f"{len(answers)} interest rates")
    assert len(answers) > 1000


# Recorded accruals: test_vesu_fold_recorded.py, where the states that they start from are known.


def test_recorded_positions(recorded: truth.Recorded, configs: dict) -> None:
    compared = 0
    for block, pool, (collateral, debt, _), answer in recorded.answered("position"):
        shares, nominal, amount, owed = truth.u256s(answer)
        held, lent = configs[block, pool, collateral], configs[block, pool, debt]
        market = accrual.with_config(accrual.AssetState(), held)
        assert accrual.collateral_of(shares, market) == amount
        assert accrual.debt_of(nominal, accrual.with_config(accrual.AssetState(), lent)) == owed
        compared += 2
    print(f"{compared} amounts of positions")
    assert compared > 8000


def test_recorded_collateralizations(recorded: truth.Recorded, configs: dict) -> None:
    prices = {
        (block, contract, asset): answer[0] + (answer[1] << 128)
        for block, contract, (asset,), answer in recorded.answered("price")
    }
    limits = {
        (block, pool, collateral, debt): answer[0]
        for block, pool, (collateral, debt), answer in recorded.answered("pair_config")
    }
    amounts = {
        (block, pool, *position): truth.u256s(answer)[2:]
        for block, pool, position, answer in recorded.answered("position")
    }
    verdicts = {True: 0, False: 0}
    for block, pool, position, answer in recorded.answered("check_collateralization"):
        collateral, debt, _ = position
        amount, owed = amounts[block, pool, *position]
        held, lent = configs[block, pool, collateral], configs[block, pool, debt]
        value = maths.collateral_value(amount, prices[block, pool, collateral], held.scale)
        owes = maths.debt_value(owed, prices[block, pool, debt], lent.scale)
        assert [value, owes] == truth.u256s(answer[1:])
        max_ltv = limits[block, pool, collateral, debt]
        assert maths.is_collateralized(value, owes, max_ltv) == bool(answer[0])
        verdicts[bool(answer[0])] += 1
    print(f"collateralised: {verdicts}")
    assert verdicts[True] > 1000
    assert verdicts[False] > 10
