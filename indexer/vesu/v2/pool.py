"""What a V2 pool's events mean for its assets, pairs, positions and settings.

The order of emission and the meaning of each event: docs/protocol.md.
"""

from __future__ import annotations

from typing import Any

from indexer import errors
from indexer.vesu import accrual, handlers, ledgers, liquidation_effects, state
from indexer.vesu.v2 import events as events_v2

HANDLERS: handlers.Handlers = {}


# --- assets and pairs --------------------------------------------------------------------


@handlers.on(HANDLERS, events_v2.UpdateContext)
def _update_context(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.UpdateContext
) -> None:
    sides = (
        (event.collateral_asset, event.collateral_asset_config, event.collateral_asset_price),
        (event.debt_asset, event.debt_asset_config, event.debt_asset_price),
    )
    pool, block, now = origin.pool, origin.event_key.block_number, origin.timestamp
    for asset, config, price in sides:
        key = state.AssetKey(pool, asset)
        before = ledger.asset_state(key)
        _require_predicted(ledger, origin, before, config)
        ledger.asset(origin, key, accrual.with_context(before, config, price, block, now))


def _require_predicted(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    before: accrual.AssetState,
    config: events_v2.AssetConfig,
) -> None:
    """A context's rates follow from the state before it and the time, as every event tells all.

    ProjectionError where they do not: the pool runs another class than those that we know.
    """
    if before.last_updated == 0 or before.model == accrual.NO_MODEL:
        return
    ledger.journal.checks += 1
    expected = accrual.rates_at(before, origin.timestamp)
    found = (config.last_rate_accumulator, config.last_full_utilization_rate)
    if found == expected:
        return
    fields = ("last_rate_accumulator", "last_full_utilization_rate")
    for field, expected_felt, found_felt in zip(fields, expected, found, strict=True):
        if expected_felt != found_felt:
            raise errors.ProjectionError(
                f"event {tuple(origin.event_key)} tells a {field} of {found_felt}, "
                f"where {expected_felt} is due"
            )


@handlers.on(HANDLERS, events_v2.SetAssetConfig)
def _set_asset_config(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.SetAssetConfig
) -> None:
    key = state.AssetKey(origin.pool, event.asset)
    before = ledger.asset_state(key)
    configured = accrual.with_config(before, event.asset_config)
    if not before.scale:
        # The first deposit of a new asset is nobody's.
        configured = ledgers.replace(configured, unowned_shares=configured.total_collateral_shares)
    ledger.asset(origin, key, configured)


@handlers.on(HANDLERS, events_v2.SetInterestRateConfig)
def _set_interest_rate_config(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.SetInterestRateConfig
) -> None:
    # The contract accrues with the old model before it stores the new one.
    key = state.AssetKey(origin.pool, event.asset)
    accrued = accrual.accrue(ledger.asset_state(key), origin.timestamp)
    model = accrual.with_model(accrued, event.interest_rate_config, origin.event_key.block_number)
    ledger.asset(origin, key, model)


@handlers.on(HANDLERS, events_v2.Donate)
def _donate(ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.Donate) -> None:
    key = state.AssetKey(origin.pool, event.asset)
    accrued = accrual.accrue(ledger.asset_state(key), origin.timestamp)
    ledger.asset(origin, key, ledgers.replace(accrued, reserve=accrued.reserve + event.amount))


@handlers.on(HANDLERS, events_v2.ClaimFees)
def _claim_fees(ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.ClaimFees) -> None:
    # The paid amount is taken as told: its rounding changed between two classes of V2.
    key = state.AssetKey(origin.pool, event.asset)
    accrued = accrual.accrue(ledger.asset_state(key), origin.timestamp)
    ledger.asset(
        origin,
        key,
        ledgers.replace(
            accrued,
            fee_shares=accrued.fee_shares - event.fee_shares,
            total_collateral_shares=accrued.total_collateral_shares - event.fee_shares,
            reserve=accrued.reserve - event.fee_amount,
        ),
    )


@handlers.on(HANDLERS, events_v2.SetPairConfig)
def _set_pair_config(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.SetPairConfig
) -> None:
    config = event.pair_config
    ledger.pair(
        origin,
        state.PairKey(origin.pool, event.collateral_asset, event.debt_asset),
        max_ltv=config.max_ltv,
        liquidation_factor=config.liquidation_factor,
        debt_cap=config.debt_cap,
        is_configured=True,
    )


# --- positions ---------------------------------------------------------------------------


def _key(
    pool: state.PoolKey, event: events_v2.ModifyPosition | events_v2.LiquidatePosition
) -> state.PositionKey:
    return state.PositionKey(pool, event.collateral_asset, event.debt_asset, 0, event.user)


def _its_position(
    emitter: ledgers.Emitter, event: events_v2.ModifyPosition | events_v2.LiquidatePosition
) -> tuple[state.PositionKey, ...]:
    assert emitter.known.pool is not None, "discovery gives pools their pool"
    return (_key(emitter.known.pool, event),)


def _move(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    event: events_v2.ModifyPosition | events_v2.LiquidatePosition,
    emptied: str,
) -> state.PositionKey:
    """Apply the deltas of shares and nominal debt to the position and to its pair."""
    key = _key(origin.pool, event)
    shares, nominal = event.collateral_shares_delta, event.nominal_debt_delta
    ledgers.change_position(ledger, origin, key, shares, nominal, emptied)
    ledgers.change_pair(ledger, origin, key, shares, nominal)
    return key


@handlers.on(HANDLERS, events_v2.ModifyPosition, touches=_its_position)
def _modify_position(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.ModifyPosition
) -> None:
    key = _move(ledger, origin, event, emptied="closed")
    if ledger.world.positions[key].kind == "system":
        _learn_debt_asset(ledger, origin, event)
        return
    supplied, borrowed = event.collateral_delta, event.debt_delta
    ledger.transaction(
        origin, 0, key, "supply" if supplied > 0 else "withdraw", event.collateral_asset, supplied
    )
    ledger.transaction(
        origin, 1, key, "borrow" if borrowed > 0 else "repay", event.debt_asset, borrowed
    )


def _learn_debt_asset(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.ModifyPosition
) -> None:
    """A vToken's debt asset is told by no event but the positions that it takes."""
    current = ledger.world.contracts.get(event.user)
    if current is not None and current.debt_asset is None:
        ledger.contract(origin, event.user, debt_asset=event.debt_asset)


@handlers.on(HANDLERS, events_v2.LiquidatePosition, touches=_its_position)
def _liquidate_position(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.LiquidatePosition
) -> None:
    key = _move(ledger, origin, event, emptied="liquidated")
    liquidation_effects.note(ledger, origin, key, event, seized=-event.collateral_delta)


# --- settings ----------------------------------------------------------------------------


handlers.upgradable(HANDLERS)
handlers.setting(HANDLERS, events_v2.SetOracle, "oracle", "oracle")
handlers.setting(HANDLERS, events_v2.SetFeeRecipient, "fee_recipient", "fee_recipient")
handlers.setting(HANDLERS, events_v2.SetPausingAgent, "pausing_agent", "agent")
handlers.setting(HANDLERS, events_v2.SetCurator, "curator", "curator")


@handlers.on(HANDLERS, events_v2.ContractPaused, events_v2.ContractUnpaused)
def _pause(ledger: ledgers.Ledger, origin: ledgers.Origin, event: Any) -> None:
    ledger.contract(origin, origin.emitter, is_paused=isinstance(event, events_v2.ContractPaused))
