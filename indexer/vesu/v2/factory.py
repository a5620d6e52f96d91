"""What the events of V2's factory and of its oracles mean: who is ours, and their settings."""

from __future__ import annotations

from indexer.cairo import text
from indexer.vesu import discovery, handlers, kinds, ledger, state
from indexer.vesu.v2 import events as events_v2

HANDLERS: handlers.Handlers = {}
ORACLE_HANDLERS: handlers.Handlers = {}

handlers.upgradable(HANDLERS)
handlers.upgradable(ORACLE_HANDLERS)
handlers.setting(ORACLE_HANDLERS, events_v2.SetManager, "curator", "manager")


@handlers.on(HANDLERS, events_v2.CreatePool)
def _create_pool(book: ledger.Ledger, origin: ledger.Origin, event: events_v2.CreatePool) -> None:
    wanted = discovery.Known(kinds.Kind.POOL_V2, state.v2_pool(event.pool))
    if not book.takes_name(origin, event.pool, wanted):
        return
    # `curator` is only nominated here: the factory is the curator until SetCurator.
    book.contract(
        origin,
        event.pool,
        name=text.clean(text.short_string(event.name)),
        owner=event.owner,
        curator=origin.emitter,
        oracle=event.oracle,
    )


@handlers.on(HANDLERS, events_v2.CreateOracle)
def _create_oracle(
    book: ledger.Ledger, origin: ledger.Origin, event: events_v2.CreateOracle
) -> None:
    if book.takes_name(origin, event.oracle, discovery.Known(kinds.Kind.ORACLE_V2)):
        book.contract(origin, event.oracle, curator=event.manager)


def _v_token(pool: int, asset: int) -> discovery.Known:
    return discovery.Known(kinds.Kind.VTOKEN_V2, state.v2_pool(pool), asset)


@handlers.on(HANDLERS, events_v2.CreateVToken)
def _create_v_token(
    book: ledger.Ledger, origin: ledger.Origin, event: events_v2.CreateVToken
) -> None:
    if not book.takes_name(origin, event.v_token, _v_token(event.pool, event.asset)):
        return
    book.contract(
        origin,
        event.v_token,
        name=text.clean(event.v_token_name),
        symbol=text.clean(event.v_token_symbol),
    )
    book.set_v_token(origin, state.v2_pool(event.pool), event.asset, event.v_token)


@handlers.on(HANDLERS, events_v2.UpdateVToken)
def _update_v_token(
    book: ledger.Ledger, origin: ledger.Origin, event: events_v2.UpdateVToken
) -> None:
    if not book.takes_name(origin, event.new_v_token, _v_token(event.pool, event.asset)):
        return
    if book.is_v_token(event.prev_v_token, event.pool, event.asset):
        book.contract(origin, event.prev_v_token, is_current=False)
    book.contract(origin, event.new_v_token, is_current=True)
    book.set_v_token(origin, state.v2_pool(event.pool), event.asset, event.new_v_token)
