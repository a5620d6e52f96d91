"""What the events of V1's extensions mean: rates, limits, owners and vTokens of pools."""

from __future__ import annotations

from indexer.vesu import (
    accrual,
    discovery,
    events,
    handlers,
    kinds,
    ledgers,
    maths,
    refusals,
    state,
)
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v1 import shutdown

HANDLERS: handlers.Handlers = {}


def _pool(ledger: ledgers.Ledger, origin: ledgers.Origin, pool_id: int) -> state.PoolKey | None:
    """The pool that the event is of; None where the singleton knows none of this id."""
    key = ledger.registry.pool_of(origin.known, origin.emitter, pool_id)
    return key if key in ledger.world.pools else None


@handlers.on(HANDLERS, events_v1.SetInterestRateConfig)
def _set_interest_rate_config(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetInterestRateConfig
) -> None:
    pool = _pool(ledger, origin, event.pool_id)
    if pool is not None:
        key = state.AssetKey(pool, event.asset)
        model, block = event.interest_rate_config, origin.event_key.block_number
        ledger.asset(origin, key, accrual.with_model(ledger.asset_state(key), model, block))


@handlers.on(HANDLERS, events_v1.SetLiquidationConfig)
def _set_liquidation_config(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetLiquidationConfig
) -> None:
    pool = _pool(ledger, origin, event.pool_id)
    if pool is not None:
        # The event tells what was asked for; 0 is stored as one.
        factor = event.liquidation_config.liquidation_factor or maths.SCALE
        pair = state.PairKey(pool, event.collateral_asset, event.debt_asset)
        ledger.pair(origin, pair, liquidation_factor=factor)


@handlers.on(HANDLERS, events_v1.SetDebtCap)
def _set_debt_cap(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetDebtCap
) -> None:
    pool = _pool(ledger, origin, event.pool_id)
    if pool is not None:
        pair = state.PairKey(pool, event.collateral_asset, event.debt_asset)
        ledger.pair(origin, pair, debt_cap=event.debt_cap)


@handlers.on(HANDLERS, events_v1.SetFeeConfig)
def _set_fee_config(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetFeeConfig
) -> None:
    pool = _pool(ledger, origin, event.pool_id)
    if pool is not None:
        # Told at a pool's creation and take-over too, when its owner is told by no event.
        owner = ledger.ask(origin, origin.emitter, "pool_owner", event.pool_id)
        ledger.pool(
            origin,
            pool,
            fee_recipient=event.fee_config.fee_recipient,
            owner=owner[0] if owner else ledger.world.pools[pool].owner,
        )


@handlers.on(HANDLERS, events_v1.SetPoolOwner)
def _set_pool_owner(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetPoolOwner
) -> None:
    pool = _pool(ledger, origin, event.pool_id)
    if pool is not None:
        ledger.pool(origin, pool, owner=event.owner)
        shutdown.watch(ledger, origin, pool)


@handlers.on(HANDLERS, events_v1.SetShutdownConfig)
def _set_shutdown_config(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetShutdownConfig
) -> None:
    pool = _pool(ledger, origin, event.pool_id)
    if pool is not None:
        periods = event.shutdown_config
        ledger.pool(
            origin,
            pool,
            recovery_period=periods.recovery_period,
            subscription_period=periods.subscription_period,
        )
        shutdown.watch(ledger, origin, pool)


@handlers.on(HANDLERS, events_v1.SetShutdownLTVConfig)
def _set_shutdown_ltv_config(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetShutdownLTVConfig
) -> None:
    pool = _pool(ledger, origin, event.pool_id)
    if pool is not None:
        # Genesis' extension takes 0 for a limit, all others for none.
        is_genesis = origin.known.kind is kinds.Kind.EXTENSION_V1_0_GENESIS
        limit = event.shutdown_ltv_config.max_ltv
        pair = state.PairKey(pool, event.collateral_asset, event.debt_asset)
        ledger.pair(origin, pair, shutdown_ltv=limit if limit or is_genesis else None)
        shutdown.watch(ledger, origin, pool)


_AFTER = {
    refusals.ShutdownMode.NONE: refusals.ShutdownMode.RECOVERY,
    refusals.ShutdownMode.RECOVERY: refusals.ShutdownMode.NONE,
    refusals.ShutdownMode.SUBSCRIPTION: refusals.ShutdownMode.REDEMPTION,
    refusals.ShutdownMode.REDEMPTION: refusals.ShutdownMode.REDEMPTION,
}
"""What an owner can set in a mode. Recovery may be followed by subscription, too."""


@handlers.on(HANDLERS, events_v1.SetShutdownMode)
def _set_shutdown_mode(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetShutdownMode
) -> None:
    """The event tells the mode before it (or, in a later class, the one set): the view decides."""
    pool = _pool(ledger, origin, event.pool_id)
    if pool is not None:
        before = ledger.world.pools[pool].shutdown_mode
        ledger.pool(origin, pool, shutdown_mode=_AFTER[before])
        shutdown.watch(ledger, origin, pool)


@handlers.on(HANDLERS, events_v1.CreateVToken)
def _create_v_token(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.CreateVToken
) -> None:
    pool = _pool(ledger, origin, event.pool_id)
    if pool is None:
        return
    kind = kinds.V_TOKENS[kinds.EXTENSIONS[origin.known.kind]]
    known = discovery.Known(kind, pool, event.collateral_asset)
    if ledger.takes_name(origin, event.v_token, known):
        ledgers.name_v_token(ledger, origin, event.v_token)
        ledger.set_v_token(origin, pool, event.collateral_asset, event.v_token)


@handlers.on(HANDLERS, events.ContractUpgraded)
def _upgraded(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events.ContractUpgraded
) -> None:
    ledger.contract(origin, origin.emitter, class_hash=event.new_implementation)
    # The later class knows none of the times at which pairs began to violate the rules.
    for key, pool in list(ledger.world.pools.items()):
        if pool.extension == origin.emitter and not ledger.is_quarantined(key):
            if pool.violations:
                ledger.pool(origin, key, violations=())
            shutdown.watch(ledger, origin, key)
