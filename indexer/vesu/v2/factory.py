"""What the events of V2's factory and of its oracles mean: who is ours, and their settings."""

from __future__ import annotations

from indexer.cairo import text
from indexer.vesu import discovery, handlers, kinds, ledgers, state
from indexer.vesu.v2 import events as events_v2

HANDLERS: handlers.Handlers = {}
ORACLE_HANDLERS: handlers.Handlers = {}

handlers.upgradable(HANDLERS)
handlers.upgradable(ORACLE_HANDLERS)
handlers.setting(ORACLE_HANDLERS, events_v2.SetManager, "curator", "manager")


@handlers.on(HANDLERS, events_v2.CreatePool)
def _create_pool(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.CreatePool
) -> None:
    known = discovery.Known(kinds.FACTORIES[origin.known.kind], state.v2_pool(event.pool))
    if not ledger.takes_name(origin, event.pool, known):
        return
    created = ledger.world.contracts.get(event.pool)
    if created is not None and created.name is not None:
        ledger.refuse(origin, f"creates the pool {event.pool:#x}, which was created before")
        return
    # `curator` is only nominated here: the factory is the curator until SetCurator.
    ledger.contract(
        origin,
        event.pool,
        name=text.clean(text.short_string(event.name)),
        owner=event.owner,
        curator=origin.emitter,
        oracle=event.oracle,
    )


@handlers.on(HANDLERS, events_v2.CreateOracle)
def _create_oracle(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.CreateOracle
) -> None:
    if not ledger.takes_name(origin, event.oracle, discovery.Known(kinds.Kind.ORACLE_V2)):
        return
    created = ledger.world.contracts.get(event.oracle)
    if created is not None and created.curator not in (None, event.manager):
        ledger.refuse(origin, f"creates the oracle {event.oracle:#x}, which was created before")
        return
    ledger.contract(origin, event.oracle, curator=event.manager)


def _v_token(pool: int, asset: int) -> discovery.Known:
    return discovery.Known(kinds.Kind.VTOKEN_V2, state.v2_pool(pool), asset)


@handlers.on(HANDLERS, events_v2.CreateVToken)
def _create_v_token(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.CreateVToken
) -> None:
    if not ledger.takes_name(origin, event.v_token, _v_token(event.pool, event.asset)):
        return
    ledger.contract(
        origin,
        event.v_token,
        name=text.clean(event.v_token_name),
        symbol=text.clean(event.v_token_symbol),
    )
    ledger.set_v_token(origin, state.v2_pool(event.pool), event.asset, event.v_token)


@handlers.on(HANDLERS, events_v2.UpdateVToken)
def _update_v_token(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v2.UpdateVToken
) -> None:
    if not ledger.takes_name(origin, event.new_v_token, _v_token(event.pool, event.asset)):
        return
    if ledger.is_v_token(event.prev_v_token, event.pool, event.asset):
        ledger.contract(origin, event.prev_v_token, is_current=False)
    ledger.contract(origin, event.new_v_token, is_current=True)
    ledger.set_v_token(origin, state.v2_pool(event.pool), event.asset, event.new_v_token)
