"""What a vToken's events mean for its holders' positions."""

from __future__ import annotations

from indexer import errors
from indexer.vesu import events, handlers, ledgers, state, transaction

HANDLERS: handlers.Handlers = {}

BALANCE_LIMIT = 1 << 128
"""vTokens stand for shares of the pool one to one, and the pool stores 128 bits of these."""

OF_NOBODY = "tells of vTokens of 0x0, which can hold none"


def _earn_key(origin: ledgers.Origin, holder: int) -> state.PositionKey:
    assert origin.known.asset is not None, "discovery gives a vToken its asset"
    return state.PositionKey(origin.pool, origin.known.asset, 0, origin.emitter, holder)


def _earn_keys(emitter: ledgers.Emitter, *holders: int) -> tuple[state.PositionKey, ...]:
    pool, asset = emitter.known.pool, emitter.known.asset
    assert pool is not None and asset is not None, "discovery gives a vToken its pool and asset"
    return tuple(
        state.PositionKey(pool, asset, 0, emitter.address, holder) for holder in holders if holder
    )


def _both_sides(emitter: ledgers.Emitter, event: events.Transfer) -> tuple[state.PositionKey, ...]:
    return _earn_keys(emitter, event.sender, event.recipient)


def _owner(
    emitter: ledgers.Emitter, event: events.Deposit | events.Withdraw
) -> tuple[state.PositionKey, ...]:
    return _earn_keys(emitter, event.owner)


@handlers.on(HANDLERS, events.Transfer, touches=_both_sides)
def _transfer(ledger: ledgers.Ledger, origin: ledgers.Origin, event: events.Transfer) -> None:
    if event.value == 0 or not _is_possible(ledger, origin, event):
        return
    # Mint and burn have 0x0 on one side; their people-facing rows are Deposit and Withdraw.
    between_holders = event.sender != 0 and event.recipient != 0
    sides = ((0, event.sender, -event.value), (1, event.recipient, event.value))
    for leg, holder, delta in sides:
        if holder == 0:
            continue
        key = _earn_key(origin, holder)
        _change_balance(ledger, origin, key, delta)
        if between_holders and ledger.world.positions[key].kind == "earn":
            ledger.transaction(origin, leg, key, "transfer", origin.emitter, delta)
        elif not between_holders:
            ledger.transient.minted.append(transaction.Minted(origin.event_key, key, delta))


def _is_possible(ledger: ledgers.Ledger, origin: ledgers.Origin, event: events.Transfer) -> bool:
    """Whether the balances allow the transfer."""
    wrong = _contradiction(ledger, origin, event)
    if wrong is not None:
        _refuse(ledger, origin, wrong)
    return wrong is None


def _refuse(ledger: ledgers.Ledger, origin: ledgers.Origin, wrong: str) -> None:
    """What a vToken says against itself changes nothing.

    ProjectionError for one that the factory deployed, for then the log lacks something. One that
    a curator merely named may be any contract and say anything: the fold goes on.
    """
    if ledger.is_deployed_by_factory(origin.emitter):
        raise errors.ProjectionError(
            f"event {tuple(origin.event_key)} {wrong}; the log is incomplete"
        )
    ledger.refuse(origin, f"{wrong}; {origin.emitter:#x} is a vToken that no CreateVToken named")


def _contradiction(
    ledger: ledgers.Ledger, origin: ledgers.Origin, event: events.Transfer
) -> str | None:
    if event.sender != 0:
        left = ledger.position(_earn_key(origin, event.sender)).vtoken_balance - event.value
        if left < 0:
            holder = f"{event.sender:#x}"
            return f"takes more vTokens from {holder} than it holds: {left} would remain"
    if event.recipient == 0:
        return None
    balance = ledger.position(_earn_key(origin, event.recipient)).vtoken_balance
    if event.recipient != event.sender and balance + event.value >= BALANCE_LIMIT:
        return f"gives {event.recipient:#x} more vTokens than a pool can store"
    return None


def _change_balance(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.PositionKey, delta: int
) -> None:
    before = ledger.position(key)
    balance = before.vtoken_balance + delta
    status = "active" if balance else "closed"
    ledger.put_position(origin, key, ledgers.replace(before, vtoken_balance=balance, status=status))


@handlers.on(HANDLERS, events.Deposit, touches=_owner)
def _deposit(ledger: ledgers.Ledger, origin: ledgers.Origin, event: events.Deposit) -> None:
    if event.owner == 0:
        _refuse(ledger, origin, OF_NOBODY)
        return
    ledger.transient.explain(_earn_key(origin, event.owner), event.shares)
    _note_transaction(ledger, origin, event.owner, "supply", event.assets)


@handlers.on(HANDLERS, events.Withdraw, touches=_owner)
def _withdraw(ledger: ledgers.Ledger, origin: ledgers.Origin, event: events.Withdraw) -> None:
    if event.owner == 0:
        _refuse(ledger, origin, OF_NOBODY)
        return
    ledger.transient.explain(_earn_key(origin, event.owner), -event.shares)
    _note_transaction(ledger, origin, event.owner, "withdraw", -event.assets)


def _note_transaction(
    ledger: ledgers.Ledger, origin: ledgers.Origin, owner: int, type_: str, assets: int
) -> None:
    key = _earn_key(origin, owner)
    if ledger.known_position(key) is None:
        # Assets too few for a share: the Transfer before was of nothing and made no position.
        ledger.put_position(origin, key, ledgers.replace(ledger.position(key), status="closed"))
    ledger.transaction(origin, 0, key, type_, key.collateral, assets)
