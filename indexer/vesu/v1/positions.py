"""What the events of V1's singletons mean for positions, and for the fees beside them.

V1.0 leaves out amounts that later code tells: what a transfer moved, and what a liquidator took
as shares. The vToken's own transfers, two contexts in a row, or a view fill the gap.
"""

from __future__ import annotations

from indexer.vesu import (
    accrual,
    handlers,
    kinds,
    ledgers,
    liquidation_effects,
    state,
    transaction,
)
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v1 import selfproof, shutdown

HANDLERS: handlers.Handlers = {}

INFLATION_FEE = 1_000
"""Shares of an asset's first deposit that go to 0x0, against inflation attacks."""


# --- interest and fees ---------------------------------------------------------------------


@handlers.on(HANDLERS, events_v1.UpdateContext)
def _update_context(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.UpdateContext
) -> None:
    pool = state.PoolKey(origin.emitter, event.pool_id)
    sides = (
        (event.collateral_asset, event.collateral_asset_config, event.collateral_asset_price),
        (event.debt_asset, event.debt_asset_config, event.debt_asset_price),
    )
    pair = state.PairKey(pool, event.collateral_asset, event.debt_asset)
    before = ledger.asset_state(state.AssetKey(pool, event.collateral_asset))
    for asset, config, price in sides:
        if not asset:
            continue  # supply without a debt asset: its side is blank
        key = state.AssetKey(pool, asset)
        asset_state = ledger.asset_state(key)
        updated = selfproof.check_context(
            ledger, origin, key, asset_state, accrual.with_config(asset_state, config)
        )
        ledger.asset(
            origin,
            key,
            accrual.with_price(updated, price, origin.event_key.block_number, origin.timestamp),
        )
    after = ledger.asset_state(state.AssetKey(pool, event.collateral_asset))
    ledger.transient.contexts.append(transaction.ReportedContext(pair, before, after))


def _recipient(
    emitter: ledgers.Emitter, event: events_v1.AccrueFees
) -> tuple[state.PositionKey, ...]:
    pool = state.PoolKey(emitter.address, event.pool_id)
    return (state.PositionKey(pool, event.asset, 0, 0, event.recipient),)


@handlers.on(HANDLERS, events_v1.AccrueFees, touches=_recipient)
def _accrue_fees(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.AccrueFees
) -> None:
    """The fee's shares go to the extension; the market counts them already, or does now."""
    pool = state.PoolKey(origin.emitter, event.pool_id)
    key = state.AssetKey(pool, event.asset)
    asset_state = ledger.asset_state(key)
    if asset_state.last_updated < origin.timestamp:
        # No context told of this accrual: a claim, a donation, a parameter or a transfer.
        total = asset_state.total_collateral_shares + event.fee_shares
        written = accrued(ledger, origin, key)
        ledger.asset(origin, key, ledgers.replace(written, total_collateral_shares=total))
        ledger.transient.unexplained[key] = origin
    selfproof.check_fees(ledger, origin, key, event.fee_shares)
    holder = state.PositionKey(pool, event.asset, 0, 0, event.recipient)
    ledgers.change_position(ledger, origin, holder, event.fee_shares, 0)
    ledger.transient.fees[key] = ledger.transient.fees.get(key, 0) + event.fee_shares


def accrued(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.AssetKey
) -> accrual.AssetState:
    """A market's state accrued to now as the contract writes it: the fee's shares given away."""
    asset_state = ledger.asset_state(key)
    ledger.transient.unexplained.pop(key, None)
    if asset_state.last_updated >= origin.timestamp:
        return asset_state
    selfproof.predictions(ledger, origin, key, asset_state)
    return ledgers.replace(accrual.accrue(asset_state, origin.timestamp), fee_shares=0)


def unexplained_pools(ledger: ledgers.Ledger) -> dict[state.PoolKey, ledgers.Origin]:
    """Pools with an accrual that nothing in the finished transaction explains.

    It is a claim of fee shares, which a change of the rate model makes too.
    """
    return {key.pool: origin for key, origin in ledger.transient.unexplained.items()}


def ask_models(ledger: ledgers.Ledger, pool: state.PoolKey, origin: ledgers.Origin) -> None:
    """Ask the extension for the rate models of all the pool's markets."""
    for key in [key for key in ledger.world.assets if key.pool == pool]:
        model = selfproof.ask_model(ledger, origin, key)
        asset_state, block = ledger.asset_state(key), origin.event_key.block_number
        if model is not None and model != asset_state.model:
            ledger.asset(origin, key, accrual.with_model(asset_state, model, block))


def note_minted(ledger: ledgers.Ledger) -> None:
    """vTokens made or destroyed without a deposit or a withdrawal were a transfer.

    A position was wrapped or unwrapped, or migrated.
    """
    for minted in ledger.transient.minted:
        ledger.transaction_at(
            minted.event_key,
            0 if minted.amount < 0 else 1,
            minted.holder,
            "transfer",
            minted.holder.v_token,
            minted.amount,
        )


# --- positions -----------------------------------------------------------------------------


def move(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    key: state.PositionKey,
    shares: int,
    nominal: int,
    emptied: str = "closed",
) -> None:
    """Add to a position and to its pair, of which V1 keeps none without a debt asset."""
    ledgers.change_position(ledger, origin, key, shares, nominal, emptied)
    if key.debt:
        ledgers.change_pair(ledger, origin, key, shares, nominal)


def disown(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.PositionKey, shares: int
) -> None:
    """Note shares that the market of a position's collateral counts and nobody holds."""
    if shares:
        market = state.AssetKey(key.pool, key.collateral)
        asset_state = ledger.asset_state(market)
        left = ledgers.replace(asset_state, unowned_shares=asset_state.unowned_shares + shares)
        ledger.asset(origin, market, left)


def _of_pair(
    emitter: ledgers.Emitter,
    event: events_v1.ModifyPosition | events_v1.LiquidatePosition,
    *users: int,
) -> tuple[state.PositionKey, ...]:
    pool = state.PoolKey(emitter.address, event.pool_id)
    return tuple(
        state.PositionKey(pool, event.collateral_asset, event.debt_asset, 0, user) for user in users
    )


def _user_and_nobody(
    emitter: ledgers.Emitter, event: events_v1.ModifyPosition
) -> tuple[state.PositionKey, ...]:
    return _of_pair(emitter, event, event.user, 0)


def _user_and_liquidator(
    emitter: ledgers.Emitter, event: events_v1.LiquidatePosition
) -> tuple[state.PositionKey, ...]:
    return _of_pair(emitter, event, event.user, event.liquidator)


@handlers.on(HANDLERS, events_v1.ModifyPosition, touches=_user_and_nobody)
def _modify_position(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.ModifyPosition
) -> None:
    pool = state.PoolKey(origin.emitter, event.pool_id)
    key = state.PositionKey(pool, event.collateral_asset, event.debt_asset, 0, event.user)
    move(ledger, origin, key, event.collateral_shares_delta, event.nominal_debt_delta)
    _settle_first_and_last(ledger, origin, key, event.collateral_shares_delta)
    shutdown.touched(ledger, origin, state.PairKey(pool, key.collateral, key.debt))
    supplied, borrowed = event.collateral_delta, event.debt_delta
    if ledger.world.positions[key].kind == "borrow":
        type_ = "supply" if supplied > 0 else "withdraw"
        ledger.transaction(origin, 0, key, type_, event.collateral_asset, supplied)
        type_ = "borrow" if borrowed > 0 else "repay"
        ledger.transaction(origin, 1, key, type_, event.debt_asset, borrowed)
    ledger.transient.action_done()


def _settle_first_and_last(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.PositionKey, shares: int
) -> None:
    """An asset's first deposit leaves 1000 shares to 0x0 in its pair, over what was there;
    its last withdrawal makes the contract count none any more.
    """
    reported = ledger.transient.contexts[-1] if ledger.transient.contexts else None
    if reported is None:
        return
    if shares < 0 and not reported.after.total_collateral_shares:
        # A thousand shares or fewer are forgotten; 0x0 keeps those of the inflation fee.
        fees = ledger.transient.fees.get(state.AssetKey(key.pool, key.collateral), 0)
        disown(ledger, origin, key, -(reported.before.total_collateral_shares + fees + shares))
    if reported.before.total_collateral_shares or shares < 0:
        return
    if reported.after.total_collateral_shares == shares + INFLATION_FEE:
        nobody = key._replace(user=0)
        orphaned_shares = ledger.position(nobody).collateral_shares
        ledgers.change_position(ledger, origin, nobody, INFLATION_FEE - orphaned_shares, 0)
        disown(ledger, origin, nobody, orphaned_shares)


@handlers.on(HANDLERS, events_v1.LiquidatePosition, touches=_user_and_liquidator)
def _liquidate_position(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.LiquidatePosition
) -> None:
    pool = state.PoolKey(origin.emitter, event.pool_id)
    key = state.PositionKey(pool, event.collateral_asset, event.debt_asset, 0, event.user)
    shares, seized = -event.collateral_shares_delta, -event.collateral_delta
    contexts = [reported for reported in ledger.transient.contexts if reported.pair == key[:3]]
    is_in_shares = origin.known.kind is kinds.Kind.SINGLETON_V1_0 and len(contexts) > 1
    if is_in_shares:
        first, second = contexts[-2:]
        fees = ledger.transient.fees.get(state.AssetKey(pool, key.collateral), 0)
        shares = first.before.total_collateral_shares + fees - first.after.total_collateral_shares
        seized = first.before.reserve - first.after.reserve
        _take_as_shares(ledger, origin, key._replace(user=event.liquidator), first, second)
    move(ledger, origin, key, -shares, event.nominal_debt_delta, emptied="liquidated")
    liquidation_effects.note(ledger, origin, key, event, seized)
    shutdown.touched(ledger, origin, state.PairKey(pool, key.collateral, key.debt))
    ledger.transient.action_done()


def _take_as_shares(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    key: state.PositionKey,
    first: transaction.ReportedContext,
    second: transaction.ReportedContext,
) -> None:
    """V1.0: the liquidator keeps the collateral in a position of the same pair."""
    gained = second.after.total_collateral_shares - first.after.total_collateral_shares
    move(ledger, origin, key, gained, 0)
    if ledger.world.positions[key].kind == "borrow":
        amount = second.after.reserve - first.after.reserve
        ledger.transaction(origin, 2, key, "transfer", key.collateral, amount)
