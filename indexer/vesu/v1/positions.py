"""What the events of V1's singletons mean for positions, and for the fees beside them.

V1.0 leaves out amounts that later code tells: what a transfer moved, and what a liquidator took
as shares. The vToken's own transfers, two contexts in a row, or a view fill the gap.
"""

from __future__ import annotations

from indexer.vesu import accrual, kinds, ledger, state, transaction
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v1 import selfproof

HANDLERS: ledger.Handlers = {}

INFLATION_FEE = 1_000
"""Shares of an asset's first deposit that go to 0x0, against inflation attacks."""


# --- interest and fees ---------------------------------------------------------------------


@ledger.on(HANDLERS, events_v1.UpdateContext)
def _update_context(
    book: ledger.Ledger, here: ledger.Context, event: events_v1.UpdateContext
) -> None:
    pool = state.PoolKey(here.emitter, event.pool_id)
    sides = (
        (event.collateral_asset, event.collateral_asset_config, event.collateral_asset_price),
        (event.debt_asset, event.debt_asset_config, event.debt_asset_price),
    )
    pair = state.PairKey(pool, event.collateral_asset, event.debt_asset)
    before = book.asset_state(state.AssetKey(pool, event.collateral_asset))
    for asset, config, price in sides:
        if not asset:
            continue  # supply without a debt asset: its side is blank
        key = state.AssetKey(pool, asset)
        held = book.asset_state(key)
        told = selfproof.check_context(book, here, key, held, accrual.with_config(held, config))
        book.asset(here, key, accrual.with_price(told, price, here.at.block_number))
    after = book.asset_state(state.AssetKey(pool, event.collateral_asset))
    book.said.contexts.append(transaction.ToldContext(pair, before, after))


@ledger.on(HANDLERS, events_v1.AccrueFees)
def _accrue_fees(book: ledger.Ledger, here: ledger.Context, event: events_v1.AccrueFees) -> None:
    """The fee's shares go to the extension; the market counts them already, or does now."""
    pool = state.PoolKey(here.emitter, event.pool_id)
    key = state.AssetKey(pool, event.asset)
    held = book.asset_state(key)
    if held.last_updated < here.timestamp:
        # No context told of this accrual: a claim, a donation, a parameter or a transfer.
        total = held.total_collateral_shares + event.fee_shares
        written = accrued(book, here, key)
        book.asset(here, key, ledger.replace(written, total_collateral_shares=total))
        book.said.unexplained[key] = here
    selfproof.check_fees(book, here, key, event.fee_shares)
    holder = state.PositionKey(pool, event.asset, 0, 0, event.recipient)
    ledger.change_position(book, here, holder, event.fee_shares, 0)
    book.said.fees[key] = book.said.fees.get(key, 0) + event.fee_shares


def accrued(book: ledger.Ledger, here: ledger.Context, key: state.AssetKey) -> accrual.AssetState:
    """A market's state accrued to now as the contract writes it: the fee's shares given away."""
    held = book.asset_state(key)
    book.said.unexplained.pop(key, None)
    if held.last_updated >= here.timestamp:
        return held
    possible = selfproof.variants(book, key.pool.address)
    states = {
        variant: accrual.accrue(ledger.replace(held, variant=variant), here.timestamp)
        for variant in possible
    }
    book.said.expected[key] = {v: one.fee_shares - held.fee_shares for v, one in states.items()}
    return ledger.replace(accrual.accrue(held, here.timestamp), fee_shares=0)


def finish_transaction(book: ledger.Ledger) -> None:
    """What the end of a transaction settles.

    An accrual that nothing explains is a claim of fee shares, which a change of the rate model
    makes too: the extension is asked for all models of the pool. vTokens made or destroyed
    without a deposit or a withdrawal were a transfer: a position wrapped or unwrapped, or a
    migration.
    """
    for pool, here in {key.pool: here for key, here in book.said.unexplained.items()}.items():
        for key in [key for key in book.world.assets if key.pool == pool]:
            model = selfproof.ask_model(book, here, key)
            held = book.asset_state(key)
            if model is not None and model != held.model:
                book.asset(here, key, ledger.replace(held, model=model))
    for minted in book.said.minted:
        book.transaction_at(
            minted.at,
            0 if minted.amount < 0 else 1,
            minted.holder,
            "transfer",
            minted.holder.v_token,
            minted.amount,
        )


# --- positions -----------------------------------------------------------------------------


def move(
    book: ledger.Ledger,
    here: ledger.Context,
    key: state.PositionKey,
    shares: int,
    nominal: int,
    emptied: str = "closed",
) -> None:
    """Add to a position and to its pair, of which V1 keeps none without a debt asset."""
    ledger.change_position(book, here, key, shares, nominal, emptied)
    if key.debt:
        ledger.change_pair(book, here, key, shares, nominal)


def disown(book: ledger.Ledger, here: ledger.Context, key: state.PositionKey, shares: int) -> None:
    """Note shares that the market of a position's collateral counts and nobody holds."""
    if shares:
        market = state.AssetKey(key.pool, key.collateral)
        held = book.asset_state(market)
        left = ledger.replace(held, unowned_shares=held.unowned_shares + shares)
        book.asset(here, market, left)


@ledger.on(HANDLERS, events_v1.ModifyPosition)
def _modify_position(
    book: ledger.Ledger, here: ledger.Context, event: events_v1.ModifyPosition
) -> None:
    pool = state.PoolKey(here.emitter, event.pool_id)
    key = state.PositionKey(pool, event.collateral_asset, event.debt_asset, 0, event.user)
    move(book, here, key, event.collateral_shares_delta, event.nominal_debt_delta)
    _settle_first_and_last(book, here, key, event.collateral_shares_delta)
    supplied, borrowed = event.collateral_delta, event.debt_delta
    if book.world.positions[key].kind == "borrow":
        type_ = "supply" if supplied > 0 else "withdraw"
        book.transaction(here, 0, key, type_, event.collateral_asset, supplied)
        type_ = "borrow" if borrowed > 0 else "repay"
        book.transaction(here, 1, key, type_, event.debt_asset, borrowed)
    book.said.action_done()


def _settle_first_and_last(
    book: ledger.Ledger, here: ledger.Context, key: state.PositionKey, shares: int
) -> None:
    """An asset's first deposit leaves 1000 shares to 0x0 in its pair, over what was there;
    its last withdrawal makes the contract count none any more.
    """
    told = book.said.contexts[-1] if book.said.contexts else None
    if told is None:
        return
    if shares < 0 and not told.after.total_collateral_shares:
        # A thousand shares or fewer are forgotten; 0x0 keeps those of the inflation fee.
        fees = book.said.fees.get(state.AssetKey(key.pool, key.collateral), 0)
        disown(book, here, key, -(told.before.total_collateral_shares + fees + shares))
    if told.before.total_collateral_shares or shares < 0:
        return
    if told.after.total_collateral_shares == shares + INFLATION_FEE:
        nobody = key._replace(user=0)
        held = book.position(nobody).collateral_shares
        ledger.change_position(book, here, nobody, INFLATION_FEE - held, 0)
        disown(book, here, nobody, held)


@ledger.on(HANDLERS, events_v1.LiquidatePosition)
def _liquidate_position(
    book: ledger.Ledger, here: ledger.Context, event: events_v1.LiquidatePosition
) -> None:
    pool = state.PoolKey(here.emitter, event.pool_id)
    key = state.PositionKey(pool, event.collateral_asset, event.debt_asset, 0, event.user)
    shares, seized = -event.collateral_shares_delta, -event.collateral_delta
    contexts = [told for told in book.said.contexts if told.pair == key[:3]]
    is_in_shares = here.known.kind is kinds.Kind.SINGLETON_V1_0 and len(contexts) > 1
    if is_in_shares:
        first, second = contexts[-2:]
        fees = book.said.fees.get(state.AssetKey(pool, key.collateral), 0)
        shares = first.before.total_collateral_shares + fees - first.after.total_collateral_shares
        seized = first.before.reserve - first.after.reserve
        _take_as_shares(book, here, key._replace(user=event.liquidator), first, second)
    move(book, here, key, -shares, event.nominal_debt_delta, emptied="liquidated")
    ledger.note_liquidation(book, here, key, event, seized)
    book.said.action_done()


def _take_as_shares(
    book: ledger.Ledger,
    here: ledger.Context,
    key: state.PositionKey,
    first: transaction.ToldContext,
    second: transaction.ToldContext,
) -> None:
    """V1.0: the liquidator keeps the collateral in a position of the same pair."""
    gained = second.after.total_collateral_shares - first.after.total_collateral_shares
    move(book, here, key, gained, 0)
    if book.world.positions[key].kind == "borrow":
        amount = second.after.reserve - first.after.reserve
        book.transaction(here, 2, key, "transfer", key.collateral, amount)
