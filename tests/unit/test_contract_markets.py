"""`contract_markets`, by which invented chains answer, gives what Vesu's contracts answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from indexer.cairo import selector
from indexer.recording import chain
from tests.acceptance import truth
from tests.unit import contract_markets
from tests.unit.contract_markets import Market, RateModel

WRITING = {
    selector.of(name)
    for name in (
        *("UpdateContext", "Donate", "ClaimFees", "SetAssetConfig", "SetInterestRateConfig"),
    )
}
"""Events of a pool that stores an asset's configuration, accrued, in the block."""


@pytest.fixture(scope="module")
def recorded() -> truth.Recorded:
    return truth.devnet_a()


def answers(recorded: truth.Recorded, view: str) -> dict[int, dict[tuple[int, ...], list[int]]]:
    """Answers of a view by block, and by contract with calldata."""
    found: dict[int, dict[tuple[int, ...], list[int]]] = {}
    for block, contract, calldata, result in recorded.answered(view):
        found.setdefault(block, {})[contract, *calldata] = result
    return found


def written() -> Iterator[tuple[int, int, int]]:
    """(block, pool, felt) of each event that stores an asset's configuration: one names it."""
    for block in chain.load(chain.bundled()).main.blocks.values():
        for event in block.events:
            if WRITING.intersection(event.keys[:2]):
                for felt in (*event.keys, *event.data[:1]):
                    yield block.number, int(event.from_address, 16), felt


def test_markets_accrue_as_the_contracts_say(recorded: truth.Recorded) -> None:
    stored: dict[tuple[int, ...], tuple[Market, RateModel]] = {}
    models = answers(recorded, "interest_rate_config")
    is_written = set(written())
    compared = 0
    for block, told in sorted(answers(recorded, "asset_config").items()):
        for asset, felts in told.items():
            if (block, *asset) in is_written:
                stored[asset] = Market.of(felts), RateModel.of(models[block][asset])
            else:
                market, model = stored[asset]
                now = recorded.timestamps[block]
                assert market.accrued(model, now).felts == felts, (block, asset)
                compared += market.nominal > 0
    print(f"{compared} accruals of markets with debt")
    assert compared > 300


def test_positions_are_worth_what_the_contracts_say(recorded: truth.Recorded) -> None:
    configs = answers(recorded, "asset_config")
    prices, limits = answers(recorded, "price"), answers(recorded, "pair_config")
    checked = answers(recorded, "check_collateralization")
    compared = 0
    for block, told in answers(recorded, "position").items():
        for (pool, collateral, debt, user), felts in told.items():
            lent, owing = (Market.of(configs[block][pool, asset]) for asset in (collateral, debt))
            shares, nominal, held, owed = contract_markets.u256s(felts)
            again = [*contract_markets.position(lent, owing, shares, nominal)]
            assert again == [shares, nominal, held, owed]
            answer = checked.get(block, {}).get((pool, collateral, debt, user))
            if answer is not None:
                compared += nominal > 0
                assert answer == contract_markets.collateralization(
                    lent,
                    owing,
                    held,
                    owed,
                    [
                        contract_markets.u256s(prices[block][pool, asset][:2])[0]
                        for asset in (collateral, debt)
                    ],
                    limits[block][pool, collateral, debt][0],
                )
    assert compared > 300
