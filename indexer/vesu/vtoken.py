"""What a vToken's events mean for its holders' positions."""

from __future__ import annotations

from indexer import errors
from indexer.vesu import events, handlers, ledger, state, transaction

HANDLERS: handlers.Handlers = {}

BALANCE_LIMIT = 1 << 128
"""vTokens stand for shares of the pool one to one, and the pool stores 128 bits of these."""


def _earn_key(origin: ledger.Origin, holder: int) -> state.PositionKey:
    assert origin.known.asset is not None, "discovery gives a vToken its asset"
    return state.PositionKey(origin.pool, origin.known.asset, 0, origin.emitter, holder)


def _earn_keys(emitter: ledger.Emitter, *holders: int) -> tuple[state.PositionKey, ...]:
    pool, asset = emitter.known.pool, emitter.known.asset
    assert pool is not None and asset is not None, "discovery gives a vToken its pool and asset"
    return tuple(
        state.PositionKey(pool, asset, 0, emitter.address, holder) for holder in holders if holder
    )


def _both_sides(emitter: ledger.Emitter, event: events.Transfer) -> tuple[state.PositionKey, ...]:
    return _earn_keys(emitter, event.sender, event.recipient)


def _owner(
    emitter: ledger.Emitter, event: events.Deposit | events.Withdraw
) -> tuple[state.PositionKey, ...]:
    return _earn_keys(emitter, event.owner)


@handlers.on(HANDLERS, events.Transfer, touches=_both_sides)
def _transfer(book: ledger.Ledger, origin: ledger.Origin, event: events.Transfer) -> None:
    if event.value == 0 or not _is_possible(book, origin, event):
        return
    # Mint and burn have 0x0 on one side; their people-facing rows are Deposit and Withdraw.
    between_holders = event.sender != 0 and event.recipient != 0
    sides = ((0, event.sender, -event.value), (1, event.recipient, event.value))
    for leg, holder, delta in sides:
        if holder == 0:
            continue
        key = _earn_key(origin, holder)
        _change_balance(book, origin, key, delta)
        if between_holders and book.world.positions[key].kind == "earn":
            book.transaction(origin, leg, key, "transfer", origin.emitter, delta)
        elif not between_holders:
            book.transient.minted.append(transaction.Minted(origin.at, key, delta))


def _is_possible(book: ledger.Ledger, origin: ledger.Origin, event: events.Transfer) -> bool:
    """Whether the balances allow the transfer.

    If not: ProjectionError for a vToken that the factory deployed, for then the log lacks
    something. One that a curator merely named may be any contract and say anything: what it
    says against itself is refused, and the fold goes on.
    """
    wrong = _contradiction(book, origin, event)
    if wrong is None:
        return True
    if book.is_deployed_by_factory(origin.emitter):
        raise errors.ProjectionError(f"event {tuple(origin.at)} {wrong}; the log is incomplete")
    book.refuse(origin, f"{wrong}; {origin.emitter:#x} is a vToken that no CreateVToken named")
    return False


def _contradiction(
    book: ledger.Ledger, origin: ledger.Origin, event: events.Transfer
) -> str | None:
    if event.sender != 0:
        left = book.position(_earn_key(origin, event.sender)).vtoken_balance - event.value
        if left < 0:
            holder = f"{event.sender:#x}"
            return f"takes more vTokens from {holder} than it holds: {left} would remain"
    if event.recipient == 0:
        return None
    held = book.position(_earn_key(origin, event.recipient)).vtoken_balance
    if event.recipient != event.sender and held + event.value >= BALANCE_LIMIT:
        return f"gives {event.recipient:#x} more vTokens than a pool can store"
    return None


def _change_balance(
    book: ledger.Ledger, origin: ledger.Origin, key: state.PositionKey, delta: int
) -> None:
    before = book.position(key)
    balance = before.vtoken_balance + delta
    status = "active" if balance else "closed"
    book.put_position(origin, key, ledger.replace(before, vtoken_balance=balance, status=status))


@handlers.on(HANDLERS, events.Deposit, touches=_owner)
def _deposit(book: ledger.Ledger, origin: ledger.Origin, event: events.Deposit) -> None:
    book.transient.explain(_earn_key(origin, event.owner), event.shares)
    _moved(book, origin, event.owner, "supply", event.assets)


@handlers.on(HANDLERS, events.Withdraw, touches=_owner)
def _withdraw(book: ledger.Ledger, origin: ledger.Origin, event: events.Withdraw) -> None:
    book.transient.explain(_earn_key(origin, event.owner), -event.shares)
    _moved(book, origin, event.owner, "withdraw", -event.assets)


def _moved(book: ledger.Ledger, origin: ledger.Origin, owner: int, type_: str, assets: int) -> None:
    key = _earn_key(origin, owner)
    if book.held(key) is None:
        # Assets too few for a share: the Transfer before was of nothing and made no position.
        book.put_position(origin, key, ledger.replace(book.position(key), status="closed"))
    book.transaction(origin, 0, key, type_, key.collateral, assets)
