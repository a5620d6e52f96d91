"""V1's integer maths: published vectors, laws, and the recorded answers of every generation.

Published vectors: the unit tests of Vesu's public V1 source, whose inputs and results are
restated here as numbers. What does not differ from V2 (nominal debt, utilisation) stands in
test_vesu_maths.py.
"""

from __future__ import annotations

import collections

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from indexer.cairo import selector
from indexer.vesu import accrual, events, maths
from tests.acceptance import truth, truth_v1
from tests.unit import test_vesu_maths as v2

SCALE = maths.SCALE
Variant = maths.Variant
RUNNING_V1 = (Variant.V1_0, Variant.V1_1B, Variant.V1_1C)
FLAT = (Variant.V1_0, Variant.V1_1B, Variant.FROZEN)

any_variant = st.sampled_from(list(Variant))
flat_variant = st.sampled_from(FLAT)


# --- published vectors -----------------------------------------------------------------------


@pytest.mark.parametrize("variant", RUNNING_V1)
def test_interest_rate_of_half_used_market_after_a_day(variant: maths.Variant) -> None:
    rate, full = maths.interest_rate(v2.PUBLISHED_MODEL, SCALE // 2, 86_400, 6_517_893_350, variant)
    assert rate == 778_649_180
    assert full < 6_517_893_350
    assert rate * v2.YEAR_360 == 24_219_104_094_720_000
    borrow_apy = maths.pow_scale(SCALE + rate, v2.YEAR_360) - SCALE
    assert borrow_apy * (SCALE // 2) // SCALE == 12_257_384_326_832_902


@pytest.mark.parametrize("variant", FLAT)
@pytest.mark.parametrize(
    ("percent", "rate_apr", "full_apr"),
    [(50, 2_395, 17_142), (80, 4_059, 19_999), (90, 5_060, 23_333)],
)
def test_published_rates(
    variant: maths.Variant, percent: int, rate_apr: int, full_apr: int
) -> None:
    """At 90 %, above the target of 87.5 %, V1 stays at 5.060 %."""
    used = percent * SCALE // 100
    rate, full = maths.interest_rate(v2.PUBLISHED_MODEL, used, 86_400, v2.APR_20, variant)
    assert (v2.apr(rate), v2.apr(full)) == (rate_apr, full_apr)


def test_the_public_fixes_rise_above_the_target() -> None:
    """Published for V2, 7.515 % at 90 % and a full rate of 20 %; V1.1c divides as V2 does."""
    arguments = (v2.PUBLISHED_MODEL, 9 * SCALE // 10, 0, v2.APR_20)
    rates = {one: maths.interest_rate(*arguments, one)[0] for one in Variant}
    assert v2.apr(rates[Variant.V1_1C]) == v2.apr(rates[Variant.V2]) == 7_515
    zero = v2.PUBLISHED_MODEL.zero_utilization_rate
    at_target = (v2.APR_20 - zero) * v2.PUBLISHED_MODEL.target_rate_percent // SCALE + zero
    assert {rates[one] for one in FLAT} == {at_target}


def test_first_fee_shares_are_worth_a_tenth_of_the_interest() -> None:
    """1 lent out of 2, the debt doubles, 10 % fee: shares worth 0.1 at the old price."""
    market = accrual.AssetState(
        total_collateral_shares=SCALE,
        total_nominal_debt=SCALE,
        reserve=10**8,
        scale=10**8,
        last_rate_accumulator=SCALE,
        fee_rate=SCALE // 10,
        variant=Variant.V1_0,
    )
    assert minted(market, SCALE) == 0
    shares = minted(market, 2 * SCALE)
    assert accrual.collateral_of(shares, market) == 10**8 // 10


def test_later_fee_shares_are_worth_a_tenth_of_the_interest_less_one_unit() -> None:
    """100 lent out, all used, 10 % interest, 10 % fee: 1 of the 10 once they are minted."""
    market = accrual.AssetState(
        total_collateral_shares=100 * SCALE,
        total_nominal_debt=100 * SCALE,
        scale=10**8,
        last_rate_accumulator=SCALE,
        fee_rate=SCALE // 10,
        variant=Variant.V1_1B,
    )
    shares = minted(market, SCALE * 11 // 10)
    after = msgspec.structs.replace(
        market,
        total_collateral_shares=100 * SCALE + shares,
        last_rate_accumulator=SCALE * 11 // 10,
    )
    assert accrual.collateral_of(shares, after) == 10**8 - 1


def minted(market: accrual.AssetState, accumulator: int) -> int:
    return maths.fee_shares(
        total_nominal_debt=market.total_nominal_debt,
        total_shares=market.total_collateral_shares,
        reserve=market.reserve,
        old_accumulator=market.last_rate_accumulator,
        new_accumulator=accumulator,
        scale=market.scale,
        fee_rate=market.fee_rate,
        variant=market.variant,
    )


# --- laws --------------------------------------------------------------------------------------


def of(market: accrual.AssetState, variant: maths.Variant) -> accrual.AssetState:
    return msgspec.structs.replace(market, variant=variant)


@hypothesis.given(v2.models(), v2.used_share, v2.seconds, v2.rates, flat_variant)
def test_up_to_the_target_all_generations_agree_and_above_it_v1_is_lower(
    model: events.InterestRateConfig,
    used: int,
    elapsed: int,
    previous: int,
    variant: maths.Variant,
) -> None:
    ours, full = maths.interest_rate(model, used, elapsed, previous, variant)
    theirs, their_full = maths.interest_rate(model, used, elapsed, previous)
    assert full == their_full
    if used // 10**13 <= model.target_utilization:
        assert ours == theirs
    else:
        at_target = model.target_utilization * 10**13
        target, _ = maths.interest_rate(model, at_target, 0, full, variant)
        # 10^5 x the largest full rate is far below 10^18: the slope is at most one unit.
        assert target <= ours <= min(target + 1, theirs)


@hypothesis.given(v2.markets(), st.integers(1, 10**7), v2.totals, any_variant)
def test_accrual_takes_from_nobody(
    market: accrual.AssetState, elapsed: int, shares: int, variant: maths.Variant
) -> None:
    market = of(market, variant)
    after = accrual.accrue(market, market.last_updated + elapsed)
    assert after.last_updated == market.last_updated + elapsed
    assert after.total_debt >= market.total_debt
    assert (after.reserve, after.variant) == (market.reserve, variant)
    held = min(shares, market.total_collateral_shares)
    assert accrual.collateral_of(held, after) >= accrual.collateral_of(held, market) - 1


@hypothesis.given(v2.markets(), st.integers(1, 10**7))
def test_a_frozen_market_moves_its_clock_alone(market: accrual.AssetState, elapsed: int) -> None:
    frozen = of(market, Variant.FROZEN)
    after = accrual.accrue(frozen, frozen.last_updated + elapsed)
    assert after == msgspec.structs.replace(frozen, last_updated=frozen.last_updated + elapsed)


@hypothesis.given(v2.markets(), st.integers(1, 10**7))
def test_first_fees_cost_more_than_later_ones_by_the_dilution_alone(
    market: accrual.AssetState, elapsed: int
) -> None:
    """V1.0 mints at the price before the interest, so it is never given fewer than V1.1b."""
    now = market.last_updated + elapsed
    first, later, fixed, second = (
        accrual.accrue(of(market, one), now)
        for one in (Variant.V1_0, Variant.V1_1B, Variant.V1_1C, Variant.V2)
    )
    assert first.last_rate_accumulator == later.last_rate_accumulator
    one_unit = market.total_collateral_shares // max(market.reserve + market.total_debt, 1) + 2
    assert first.fee_shares + one_unit >= later.fee_shares
    assert fixed == of(second, Variant.V1_1C)
    if market.fee_rate == 0 or market.total_nominal_debt == 0:
        assert first.fee_shares == later.fee_shares == fixed.fee_shares == 0


@hypothesis.given(v2.markets(), st.integers(1, 10**7))
def test_first_fees_at_the_old_price_are_their_part_of_the_interest(
    market: accrual.AssetState, elapsed: int
) -> None:
    market = of(market, Variant.V1_0)
    after = accrual.accrue(market, market.last_updated + elapsed)
    interest = after.total_debt - market.total_debt
    worth = accrual.collateral_of(after.fee_shares, market)
    part = interest * market.fee_rate // SCALE
    # The interest is rounded once, not as a difference; so are the shares and what they buy.
    assert part - 3 <= worth <= part + 3


@hypothesis.given(v2.units, v2.prices, v2.decimals)
def test_debt_values_are_rounded_down_before_v1_1b(amount: int, price: int, places: int) -> None:
    values = {one: maths.debt_value(amount, price, 10**places, one) for one in Variant}
    exact, rest = divmod(amount * price, 10**places)
    assert values[Variant.V1_0] == values[Variant.FROZEN] == exact
    later = {values[one] for one in (Variant.V1_1B, Variant.V1_1C, Variant.V2)}
    assert later == {exact + bool(rest)}


@hypothesis.given(v2.units, v2.decimals, st.sampled_from([*RUNNING_V1, Variant.FROZEN]))
def test_shares_of_an_empty_v1_market_are_worth_tokens_one_to_one(
    shares: int, places: int, variant: maths.Variant
) -> None:
    """The reset rule leaves 1000 shares with nobody while the total is 0."""
    market = accrual.AssetState(scale=10**places, last_rate_accumulator=SCALE, variant=variant)
    worth = accrual.collateral_of(shares, market)
    assert worth * SCALE <= shares * 10**places < (worth + 1) * SCALE
    assert accrual.collateral_of(shares, of(market, Variant.V2)) == 0


# --- recorded ------------------------------------------------------------------------------------

VARIANTS = {
    "v1.0 genesis": Variant.V1_0,
    "v1.0": Variant.V1_0,
    "v1.1a": Variant.V1_0,
    "v1.1b": Variant.V1_1B,
}
all_recordings = pytest.mark.parametrize("name", truth_v1.RECORDINGS)


def tell(found: collections.Counter[str]) -> None:
    print(dict(found))


@all_recordings
def test_recorded_interest_rates(name: str) -> None:
    recorded = truth_v1.recorded(name)
    models = {
        (one.block, one.contract, *one.arguments.values()): one.value
        for one in recorded.answered("interest_rate_config")
    }
    compared: collections.Counter[str] = collections.Counter()
    flat = 0
    for answer in recorded.answered("interest_rate"):
        given = answer.arguments
        model = models[answer.block, answer.contract, given["pool_id"], given["asset"]]
        rate, _ = maths.interest_rate(
            model,
            given["utilization"],
            recorded.timestamps[answer.block] - given["last_updated"],
            given["last_full_utilization_rate"],
            VARIANTS[answer.generation],
        )
        assert rate == answer.value, f"{answer}"
        compared[answer.generation] += 1
        flat += given["utilization"] // 10**13 > model.target_utilization
    tell(compared)
    assert compared.total() > 200
    assert flat


@all_recordings
def test_recorded_amounts_and_values(name: str) -> None:
    """What positions are worth, in units and in USD, from the contracts' own states."""
    recorded = truth_v1.recorded(name)
    markets = {
        (one.block, one.contract, one.arguments["pool_id"], one.arguments["asset"]): one.value
        for one in recorded.answered("asset_config_unsafe")
    }
    checks = {
        (one.block, one.contract, *one.arguments.values()): one.value
        for one in recorded.answered("check_collateralization_unsafe")
    }
    compared: collections.Counter[str] = collections.Counter()
    for answer in recorded.answered("position_unsafe"):
        pool, collateral, debt, _ = answer.arguments.values()
        singleton, block, variant = answer.contract, answer.block, VARIANTS[answer.generation]
        held = market(markets[block, singleton, pool, collateral].config, variant)
        amount = accrual.collateral_of(answer.value.position.collateral_shares, held)
        price = recorded.prices[singleton, pool, collateral, block].value
        ours = [amount, maths.collateral_value(amount, price, held.scale), 0, 0]
        if debt:
            lent = market(markets[block, singleton, pool, debt].config, variant)
            owed = accrual.debt_of(answer.value.position.nominal_debt, lent)
            price = recorded.prices[singleton, pool, debt, block].value
            ours[2:] = [owed, maths.debt_value(owed, price, lent.scale, variant)]
        check = checks.pop((block, singleton, *answer.arguments.values()))
        theirs = [answer.value.collateral, check.collateral_value]
        assert ours == [*theirs, answer.value.debt, check.debt_value], f"{answer}"
        compared[answer.generation] += 4
    assert not checks
    tell(compared)
    assert compared.total() > 5_000


def market(config: truth_v1.AssetConfig, variant: maths.Variant) -> accrual.AssetState:
    return accrual.AssetState(**msgspec.structs.asdict(config), variant=variant)


@all_recordings
def test_recorded_accruals(name: str) -> None:
    """From each UpdateContext to every later block, up to the next thing that moves the asset."""
    recorded = truth_v1.recorded(name)
    models = {
        (recorded.singleton_of(one.contract), *one.arguments.values(), one.block): one.value
        for one in recorded.answered("interest_rate_config")
    }
    told = told_states(recorded)
    frozen = {
        (one.contract, one.arguments["pool_id"], one.block)
        for one in recorded.answered("extension")
        if "pool_id" in one.arguments and one.value == recorded.address("migration_extension")
    }
    compared: collections.Counter[str] = collections.Counter()
    latest: dict[Place, accrual.AssetState | None] = {}
    for answer in sorted(recorded.answered("asset_config_unsafe"), key=lambda one: one.block):
        place: Place = (answer.contract, *answer.arguments.values())
        latest[place] = told.get((*place, answer.block), latest.get(place))
        before = latest[place]
        if before is None or (*place[:2], answer.block) in frozen:
            continue
        variant, model = VARIANTS[answer.generation], models[*place, answer.block]
        before = msgspec.structs.replace(before, model=model, variant=variant)
        after = accrual.accrue(before, recorded.timestamps[answer.block])
        for field in answer.value.config.__struct_fields__:
            assert getattr(after, field) == getattr(answer.value.config, field), f"{answer}"
        assert after.fee_shares == answer.value.fee_shares, f"{answer}"
        compared[answer.generation] += 12
    tell(compared)
    assert compared.total() > 2_000


Place = tuple[int, int, int]
"""Singleton, pool id, asset."""

MOVING = ("TransferPosition", "Donate", "RetrieveReserve", "SetAssetParameter", "AccrueFees")
SILENT = ("claim_fee_shares", "set_interest_rate_parameter", "set_asset_parameter")


def told_states(
    recorded: truth_v1.RecordedV1,
) -> dict[tuple[int, int, int, int], accrual.AssetState | None]:
    """The state that a block's last UpdateContext told, by singleton, pool id, asset and block.

    None where something else moved the asset after it, or without it: then it is not known.
    """
    names = {selector.of(name): name for name in ("UpdateContext", *MOVING)}
    told: dict[tuple[int, int, int, int], accrual.AssetState | None] = {}
    for raw in recorded.events:
        singleton, keys = int(raw["from_address"], 16), [int(key, 16) for key in raw["keys"]]
        name, block = names.get(keys[0]), raw["block_number"]
        if name is None or not recorded.contracts.get(singleton, "").startswith("singleton"):
            continue
        if name == "UpdateContext":
            data = [int(felt, 16) for felt in raw["data"]]
            for asset, felts in ((keys[2], data[:20]), (keys[3], data[20:40])):
                if asset:
                    told[singleton, keys[1], asset, block] = state_of(felts)
            continue
        for asset in keys[2:]:
            place = (singleton, keys[1], asset, block)
            # The fee shares of an UpdateContext are in its totals already.
            if name != "AccrueFees" or place not in told:
                told[place] = None
    for operation in recorded.operations:
        if operation["function"] in SILENT and not operation["reverted"]:
            pool, block = int(operation["pool"], 16), operation["block_number"]
            moved = int(operation["singleton"], 16), pool
            for one in recorded.answered("asset_config_unsafe"):
                if one.block == block and (one.contract, one.arguments["pool_id"]) == moved:
                    told[(*moved, one.arguments["asset"], block)] = None
    return told


def state_of(felts: list[int]) -> accrual.AssetState:
    """The 20 felts of an AssetConfig in an event."""
    wide = truth.u256s(felts[:12]) + truth.u256s(felts[14:])
    return accrual.AssetState(  # type: ignore[call-arg]
        *wide[:6], bool(felts[12]), felts[13], *wide[6:], variant=Variant.V1_0
    )
