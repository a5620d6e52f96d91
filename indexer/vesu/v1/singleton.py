"""What the events of V1's singletons mean for pools, markets and settings.

The order of emission and the meaning of each event: docs/protocol.md. Positions:
singleton_positions and singleton_transfers.
"""

from __future__ import annotations

from indexer.vesu import accrual, events, handlers, kinds, ledgers, maths, state
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v1 import positions, selfproof, shutdown, transfers

HANDLERS: handlers.Handlers = positions.HANDLERS | transfers.HANDLERS

_ASSET_PARAMETERS = {
    int.from_bytes(name.encode()): name for name in ("max_utilization", "floor", "fee_rate")
}


def pool_of(origin: ledgers.Origin, pool_id: int) -> state.PoolKey:
    """The pool that a singleton's event names."""
    return state.PoolKey(origin.emitter, pool_id)


# --- pools -------------------------------------------------------------------------------


@handlers.on(HANDLERS, events_v1.CreatePool)
def _create_pool(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.CreatePool
) -> None:
    key = pool_of(origin, event.pool_id)
    before = predecessor(ledger, origin, event.pool_id)
    if before is not None:
        taken_over = ledger.world.pools[before]
        ledger.pool(origin, before, successor=origin.emitter)
        ledger.pool(origin, key, name=taken_over.name)
        _take_over_pairs(ledger, origin, before, key)
        return
    extension = ledger.registry.get(event.extension)
    if extension is None:
        return
    if extension.kind is not kinds.Kind.EXTENSION_V1_0_GENESIS:  # which knows no names
        name = ledger.ask(origin, event.extension, "pool_name", event.pool_id, is_name=True)
        ledger.pool(origin, key, name=ledgers.display_name(name))


def _take_over_pairs(
    ledger: ledgers.Ledger, origin: ledgers.Origin, old: state.PoolKey, new: state.PoolKey
) -> None:
    """A pair's totals in V1.1 count the positions that are still in V1.0."""
    for pair, pair_state in list(ledger.world.pairs.items()):
        if pair.pool == old:
            ledger.pair(
                origin,
                pair._replace(pool=new),
                total_collateral_shares=pair_state.total_collateral_shares,
                total_nominal_debt=pair_state.total_nominal_debt,
            )


def predecessor(
    ledger: ledgers.Ledger, origin: ledgers.Origin, pool_id: int
) -> state.PoolKey | None:
    """The V1.0 pool that a V1.1 pool takes over: the one with the same id, if there is one."""
    if origin.known.kind is not kinds.Kind.SINGLETON_V1_1:
        return None
    singleton = ledger.registry.singleton(kinds.Kind.SINGLETON_V1_0)
    key = None if singleton is None else state.PoolKey(singleton, pool_id)
    return key if key in ledger.world.pools else None


@handlers.on(HANDLERS, events_v1.SetExtension)
def _set_extension(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetExtension
) -> None:
    pool = pool_of(origin, event.pool_id)
    ledger.pool(origin, pool, extension=event.extension)
    # An extension that is none of Vesu's own freezes the pool: that is how it leaves V1.0.
    is_frozen = ledger.registry.get(event.extension) is None
    variant = maths.Variant.FROZEN if is_frozen else selfproof.variants(ledger, pool)[0]
    for key, asset in list(ledger.world.assets.items()):
        if key.pool == pool and asset.variant is not variant:
            ledger.asset(origin, key, ledgers.replace(asset, variant=variant))


@handlers.on(HANDLERS, events.ContractUpgraded)
def _upgraded(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events.ContractUpgraded
) -> None:
    ledger.contract(origin, origin.emitter, class_hash=event.new_implementation)
    selfproof.upgraded(ledger, origin)


handlers.setting(HANDLERS, events.OwnershipTransferred, "owner", "new_owner")


# --- markets -----------------------------------------------------------------------------


@handlers.on(HANDLERS, events_v1.SetAssetConfig)
def _set_asset_config(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetAssetConfig
) -> None:
    pool = pool_of(origin, event.pool_id)
    if pool not in ledger.world.pools:
        ledger.refuse(origin, f"adds an asset to a pool that nothing created: {event.pool_id:#x}")
        return
    key = state.AssetKey(pool, event.asset)
    asset = ledgers.replace(ledger.asset_state(key), variant=selfproof.variants(ledger, pool)[0])
    before = predecessor(ledger, origin, event.pool_id)
    if before is not None:
        old = ledger.asset_state(state.AssetKey(before, event.asset))
        # Taken over as it was stored, un-accrued, with the clock set to now.
        asset = ledgers.replace(
            old,
            variant=asset.variant,
            model=asset.model,
            rate_model_block=asset.rate_model_block,
            rates_confirmed_block=asset.rates_confirmed_block,
            v_token=None,
            last_updated=origin.timestamp,
        )
    elif not _deposits_at_creation(ledger, pool):
        asset = _initial(ledger, origin, key, asset)
        _name_v_token(ledger, origin, key)
        asset = ledgers.replace(asset, v_token=ledger.asset_state(key).v_token)
    ledger.asset(origin, key, asset)


def _deposits_at_creation(ledger: ledgers.Ledger, pool: state.PoolKey) -> bool:
    """Whether the pool's extension makes a first deposit, so that a context tells all soon."""
    extension = ledger.registry.get(ledger.world.pools[pool].extension or 0)
    return extension is not None and extension.kind is not kinds.Kind.EXTENSION_V1_0_GENESIS


def _initial(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.AssetKey, asset: accrual.AssetState
) -> accrual.AssetState:
    """The configuration of a new asset, which no event tells: nothing is in it yet."""
    if not ledger.may_ask(key.pool):
        return asset
    felts = ledger.ask(origin, origin.emitter, "asset_config_unsafe", key.pool.id, key.asset)
    config = accrual.config_of(felts or ())
    if config is None:
        return asset
    configured = accrual.with_config(asset, config)
    return ledgers.replace(configured, total_collateral_shares=0, total_nominal_debt=0, reserve=0)


def _name_v_token(ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.AssetKey) -> None:
    """Genesis deploys vTokens without an event: its view names them."""
    extension = ledger.world.pools[key.pool].extension
    known = ledger.registry.get(extension or 0)
    if extension is None or known is None:
        return
    felts = ledger.ask(origin, extension, "v_token_for_collateral_asset", key.pool.id, key.asset)
    if felts and felts[0]:
        ledgers.name_v_token(ledger, origin, felts[0])
        ledger.set_v_token(origin, key.pool, key.asset, felts[0])


@handlers.on(HANDLERS, events_v1.SetAssetParameter)
def _set_asset_parameter(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetAssetParameter
) -> None:
    key = state.AssetKey(pool_of(origin, event.pool_id), event.asset)
    accrued = selfproof.resynchronised(ledger, origin, key, positions.accrued(ledger, origin, key))
    name = _ASSET_PARAMETERS.get(event.parameter)
    if name is None:
        ledger.refuse(origin, f"sets an asset parameter that is not known: {event.parameter:#x}")
        return
    # Stored as a power of ten: the contract reads 10^0 back as none.
    value = 0 if name == "floor" and event.value == 1 else event.value
    ledger.asset(origin, key, ledgers.replace(accrued, **{name: value}))
    if name == "max_utilization" and value == maths.SCALE:
        shutdown.watch(ledger, origin, key.pool)  # a pool in redemption sets it by itself
    # Rate models are changed without an event, as often as not beside other parameters.
    ledger.transient.unexplained[key] = origin


@handlers.on(HANDLERS, events_v1.Donate)
def _donate(ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.Donate) -> None:
    key = state.AssetKey(pool_of(origin, event.pool_id), event.asset)
    accrued = positions.accrued(ledger, origin, key)
    ledger.asset(origin, key, ledgers.replace(accrued, reserve=accrued.reserve + event.amount))


@handlers.on(HANDLERS, events_v1.RetrieveReserve)
def _retrieve_reserve(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.RetrieveReserve
) -> None:
    """Takes an amount that the event does not tell: the market is read anew."""
    key = state.AssetKey(pool_of(origin, event.pool_id), event.asset)
    config = None
    if ledger.may_ask(key.pool):
        felts = ledger.ask(
            origin, origin.emitter, "asset_config_unsafe", event.pool_id, event.asset
        )
        config = accrual.config_of(felts or ())
    if config is not None:
        ledger.asset(origin, key, accrual.with_config(ledger.asset_state(key), config))
    else:
        ledger.refuse(origin, "takes an unknown amount out of a reserve that no view tells")


@handlers.on(HANDLERS, events_v1.SetLTVConfig)
def _set_ltv_config(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.SetLTVConfig
) -> None:
    pair = state.PairKey(pool_of(origin, event.pool_id), event.collateral_asset, event.debt_asset)
    # Until the extension says otherwise, a liquidation factor counts as one.
    known = ledger.world.pairs.get(pair)
    factor = 0 if known is None else known.liquidation_factor
    limit = _default_shutdown_ltv(ledger, pair) if known is None else known.shutdown_ltv
    ledger.pair(
        origin,
        pair,
        shutdown_ltv=limit,
        max_ltv=event.ltv_config.max_ltv,
        liquidation_factor=factor or maths.SCALE,
        is_configured=True,
    )


def _default_shutdown_ltv(ledger: ledgers.Ledger, pair: state.PairKey) -> int | None:
    """Genesis' extension takes a missing limit for 0, all others for none."""
    pool = ledger.world.pools.get(pair.pool)
    extension = ledger.registry.get((pool.extension if pool else None) or 0)
    is_genesis = extension is not None and extension.kind is kinds.Kind.EXTENSION_V1_0_GENESIS
    return 0 if is_genesis else None
