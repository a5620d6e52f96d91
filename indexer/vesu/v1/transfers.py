"""What it means that a V1 position moves: to another position, or from V1.0 to V1.1.

V1.0's TransferPosition tells no amounts. Where one side is the extension's position behind a
vToken, the vTokens made or destroyed just before tell them, one for one. Otherwise the views of
both positions at the end of the block do, less everything else that the block did to them.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping

from indexer.vesu import accrual, handlers, kinds, ledgers, state
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v1 import positions, shutdown

HANDLERS: handlers.Handlers = {}


def _giver_and_taker(
    emitter: ledgers.Emitter, event: events_v1.TransferPosition
) -> tuple[state.PositionKey, state.PositionKey]:
    pool = state.PoolKey(emitter.address, event.pool_id)
    giver = (event.from_collateral_asset, event.from_debt_asset, 0, event.from_user)
    taker = (event.to_collateral_asset, event.to_debt_asset, 0, event.to_user)
    return state.PositionKey(pool, *giver), state.PositionKey(pool, *taker)


@handlers.on(HANDLERS, events_v1.TransferPosition, touches=_giver_and_taker)
def _transfer_position(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.TransferPosition
) -> None:
    pool = state.PoolKey(origin.emitter, event.pool_id)
    if pool not in ledger.world.pools:
        ledger.refuse(origin, f"moves a position of a pool that nothing created: {pool.id:#x}")
        return
    giver, taker = _giver_and_taker(ledger.emitter(origin), event)
    for asset in {giver.collateral, giver.debt, taker.collateral, taker.debt} - {0}:
        key = state.AssetKey(pool, asset)
        accrued = positions.accrued(ledger, origin, key)
        if accrued is not ledger.asset_state(key):
            ledger.asset(origin, key, accrued)
    _lose_fees(ledger, origin, giver, taker)
    amounts = _reported(event) or _worked_out(ledger, origin, giver, taker)
    if giver != taker:
        _move(ledger, origin, giver, taker, amounts)
    for pair in dict.fromkeys(state.PairKey(*key[:3]) for key in (giver, taker)):
        shutdown.touched(ledger, origin, pair)
    _note(ledger, origin, giver, taker, event, amounts)
    ledger.transient.action_done()


def _lose_fees(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    giver: state.PositionKey,
    taker: state.PositionKey,
) -> None:
    """The contract writes a copy of the extension's position from before its fees came in.

    The shares stay in the market's total and belong to nobody (facts of every V1 class).
    """
    for key in {giver, taker}:
        fees = ledger.transient.fees.get(state.AssetKey(key.pool, key.collateral), 0)
        recipient = ledger.world.pools[key.pool].extension
        if fees and not key.debt and key.user == recipient:
            ledgers.change_position(ledger, origin, key, -fees, 0)
            positions.disown(ledger, origin, key, fees)


def _reported(event: events_v1.TransferPosition) -> state.TransferAmounts | None:
    if event.collateral_shares_delta is None or event.nominal_debt_delta is None:
        return None
    return state.TransferAmounts(-event.collateral_shares_delta, -event.nominal_debt_delta)


def _worked_out(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    giver: state.PositionKey,
    taker: state.PositionKey,
) -> state.TransferAmounts:
    """What V1.0 moved: shares where the collateral is the same, debt where the debt is."""
    known = ledger.transfer_amounts.get(origin.event_key)
    if known is not None:
        if known.doubt:
            ledger.refuse(origin, known.doubt)
        return known
    extension = ledger.world.pools[giver.pool].extension
    if any(not key.debt and key.user == extension for key in (giver, taker)):
        return state.TransferAmounts(_wrapped(ledger, giver), 0)
    if giver != taker:
        ledger.unsettled.append(ledgers.PendingTransfer(origin, giver, taker))
    return state.TransferAmounts(0, 0)


def _wrapped(ledger: ledgers.Ledger, giver: state.PositionKey) -> int:
    """Shares that the vTokens made or destroyed in this transaction stand for."""
    v_token = ledger.asset_state(state.AssetKey(giver.pool, giver.collateral)).v_token
    for minted in reversed(ledger.transient.minted):
        if minted.holder.v_token == v_token:
            return abs(minted.amount)
    return 0


def _move(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    giver: state.PositionKey,
    taker: state.PositionKey,
    amounts: state.TransferAmounts,
) -> None:
    for key, sign in ((giver, -1), (taker, 1)):
        shares, nominal = sign * amounts.shares, sign * amounts.nominal_debt
        positions.move(ledger, origin, key, shares, nominal)


def _note(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    giver: state.PositionKey,
    taker: state.PositionKey,
    event: events_v1.TransferPosition,
    amounts: state.TransferAmounts,
) -> None:
    collateral, debt = event.collateral_delta, event.debt_delta
    if collateral is None:
        collateral = -_collateral(ledger, origin, giver, amounts.shares)
    if debt is None:
        debt = -_debt(ledger, origin, giver, amounts.nominal_debt)
    sides = ((0, giver, 1), (1, taker, -1))
    for leg, key, sign in sides:
        if ledger.position(key).kind == "borrow":
            ledger.transaction(origin, leg, key, "transfer", key.collateral, sign * collateral)
            ledger.transaction(origin, leg + 2, key, "transfer", key.debt, sign * debt)


def _collateral(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.PositionKey, shares: int
) -> int:
    """Raw units that shares are worth at the event, interest included."""
    if not shares:
        return 0
    asset = ledger.asset_state(state.AssetKey(key.pool, key.collateral))
    return accrual.collateral_of(shares, accrual.accrue(asset, origin.timestamp))


def _debt(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.PositionKey, nominal_debt: int
) -> int:
    """Raw units owed for a nominal debt at the event, interest included."""
    if not nominal_debt:
        return 0
    asset = ledger.asset_state(state.AssetKey(key.pool, key.debt))
    return accrual.debt_of(nominal_debt, accrual.accrue(asset, origin.timestamp))


def unsettled_by_pool(ledger: ledgers.Ledger) -> list[list[ledgers.PendingTransfer]]:
    """V1.0's transfers of the finished block whose amounts are not known, by pool; and no more."""
    by_pool: dict[state.PoolKey, list[ledgers.PendingTransfer]] = {}
    for transfer in ledger.unsettled:
        by_pool.setdefault(transfer.giver.pool, []).append(transfer)
    ledger.unsettled.clear()
    return list(by_pool.values())


def settle(ledger: ledgers.Ledger, unsettled: list[ledgers.PendingTransfer]) -> None:
    """Find out what one pool's transfers of a block moved, by views at the block's end.

    A position that one transfer alone touches tells what that one moved; then it is known of
    the position on the other side, and so on. Transfers in a circle cannot be told apart: one
    of them is taken to have moved nothing, and the block's end is exact all the same.
    """
    left, known = list(unsettled), dict[state.PositionKey, state.TransferAmounts]()
    while left:
        transfer, key = _tellable(left)
        left.remove(transfer)
        amounts = state.TransferAmounts(0, 0, "moves in a circle: its amount is told by nothing")
        if key is not None:
            gained = _gained(ledger, transfer.origin, key, known)
            sign = 1 if key == transfer.taker else -1
            amounts = state.TransferAmounts(
                sign * gained.shares, sign * gained.nominal_debt, gained.doubt
            )
        ledger.settled[transfer.origin.event_key] = amounts
        for side, sign in ((transfer.giver, -1), (transfer.taker, 1)):
            before = known.get(side, state.TransferAmounts(0, 0))
            known[side] = state.TransferAmounts(
                before.shares + sign * amounts.shares,
                before.nominal_debt + sign * amounts.nominal_debt,
            )


def _tellable(
    left: list[ledgers.PendingTransfer],
) -> tuple[ledgers.PendingTransfer, state.PositionKey | None]:
    """A transfer with a position that no other one touches; any, where there is none."""
    touches = collections.Counter(
        key for pending_transfer in left for key in (pending_transfer.giver, pending_transfer.taker)
    )
    for pending_transfer in left:
        for key in (pending_transfer.taker, pending_transfer.giver):
            if touches[key] == 1:
                return pending_transfer, key
    return left[-1], None


def _gained(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    key: state.PositionKey,
    known: Mapping[state.PositionKey, state.TransferAmounts],
) -> state.TransferAmounts:
    """What a position has at the block's end beyond what is accounted for."""
    if not ledger.may_ask(key.pool):
        return state.TransferAmounts(0, 0, "moves an amount that a stranger's extension hides")
    felts = ledger.ask(
        origin,
        origin.emitter,
        "position_unsafe",
        key.pool.id,
        key.collateral,
        key.debt,
        key.user,
    )
    position = accrual.position_of(felts or ())
    if position is None:
        return state.TransferAmounts(0, 0, "moves an amount that no view tells")
    (shares, nominal), position_state = position, ledger.position(key)
    accounted = known.get(key, state.TransferAmounts(0, 0))
    return state.TransferAmounts(
        shares - position_state.collateral_shares - accounted.shares,
        nominal - position_state.nominal_debt - accounted.nominal_debt,
    )


# --- from V1.0 to V1.1 -------------------------------------------------------------------


def _new_and_old(
    emitter: ledgers.Emitter, event: events_v1.MigratePosition
) -> tuple[state.PositionKey, ...]:
    pair = (event.collateral_asset, event.debt_asset, 0)
    new = state.PositionKey(state.PoolKey(emitter.address, event.pool_id), *pair, event.recipient)
    singleton = emitter.registry.singleton(kinds.Kind.SINGLETON_V1_0)
    if singleton is None:
        return (new,)
    return new, state.PositionKey(state.PoolKey(singleton, event.pool_id), *pair, event.sender)


@handlers.on(HANDLERS, events_v1.MigratePosition, touches=_new_and_old)
def _migrate_position(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events_v1.MigratePosition
) -> None:
    """V1.1 holds from now on what V1.0 held; told with zeros where V1.0 held nothing."""
    key, *older = _new_and_old(ledger.emitter(origin), event)
    if event.collateral_shares or event.nominal_debt:
        shares, nominal = event.collateral_shares, event.nominal_debt
        ledgers.change_position(ledger, origin, key, shares, nominal)
        _note_migration(ledger, origin, key, 1, shares, nominal)
    for old in older:
        position_state = ledger.known_position(old)
        if position_state is not None and position_state.migrated_block is None:
            left = ledgers.replace(
                position_state, status="closed", migrated_block=origin.event_key.block_number
            )
            ledger.put_position(origin, old, left)
            _note_migration(
                ledger,
                origin,
                old,
                -1,
                position_state.collateral_shares,
                position_state.nominal_debt,
            )


def _note_migration(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    key: state.PositionKey,
    sign: int,
    shares: int,
    nominal: int,
) -> None:
    if ledger.world.positions[key].kind != "borrow":
        return
    market = key._replace(pool=ledger.world.market(key.pool))
    leg = 0 if sign < 0 else 1
    for offset, asset, amount in (
        (0, key.collateral, _collateral(ledger, origin, market, shares)),
        (2, key.debt, _debt(ledger, origin, market, nominal)),
    ):
        ledger.transaction(origin, leg + offset, key, "transfer", asset, sign * amount)
