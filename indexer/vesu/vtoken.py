"""What a vToken's events mean for its holders' positions."""

from __future__ import annotations

from indexer import errors
from indexer.vesu import events, ledger, state, transaction

HANDLERS: ledger.Handlers = {}

BALANCE_LIMIT = 1 << 128
"""vTokens stand for shares of the pool one to one, and the pool stores 128 bits of these."""


def _earn_key(here: ledger.Context, holder: int) -> state.PositionKey:
    assert here.known.asset is not None, "discovery gives a vToken its asset"
    return state.PositionKey(here.pool, here.known.asset, 0, here.emitter, holder)


@ledger.on(HANDLERS, events.Transfer)
def _transfer(book: ledger.Ledger, here: ledger.Context, event: events.Transfer) -> None:
    if event.value == 0 or not _is_possible(book, here, event):
        return
    # Mint and burn have 0x0 on one side; their people-facing rows are Deposit and Withdraw.
    between_holders = event.sender != 0 and event.recipient != 0
    sides = ((0, event.sender, -event.value), (1, event.recipient, event.value))
    for leg, holder, delta in sides:
        if holder == 0:
            continue
        key = _earn_key(here, holder)
        _change_balance(book, here, key, delta)
        if between_holders and book.world.positions[key].kind == "earn":
            book.transaction(here, leg, key, "transfer", here.emitter, delta)
        elif not between_holders:
            book.said.minted.append(transaction.Minted(here.at, key, delta))


def _is_possible(book: ledger.Ledger, here: ledger.Context, event: events.Transfer) -> bool:
    """Whether the balances allow the transfer.

    If not: ProjectionError for a vToken that the factory deployed, for then the log lacks
    something. One that a curator merely named may be any contract and say anything: what it
    says against itself is refused, and the fold goes on.
    """
    wrong = _contradiction(book, here, event)
    if wrong is None:
        return True
    if book.is_deployed_by_factory(here.emitter):
        raise errors.ProjectionError(f"event {tuple(here.at)} {wrong}; the log is incomplete")
    book.refuse(here, f"{wrong}; {here.emitter:#x} is a vToken that no CreateVToken named")
    return False


def _contradiction(book: ledger.Ledger, here: ledger.Context, event: events.Transfer) -> str | None:
    if event.sender != 0:
        left = book.position(_earn_key(here, event.sender)).vtoken_balance - event.value
        if left < 0:
            holder = f"{event.sender:#x}"
            return f"takes more vTokens from {holder} than it holds: {left} would remain"
    held = book.position(_earn_key(here, event.recipient)).vtoken_balance
    if event.recipient != event.sender and held + event.value >= BALANCE_LIMIT:
        return f"gives {event.recipient:#x} more vTokens than a pool can store"
    return None


def _change_balance(
    book: ledger.Ledger, here: ledger.Context, key: state.PositionKey, delta: int
) -> None:
    before = book.position(key)
    balance = before.vtoken_balance + delta
    status = "active" if balance else "closed"
    book.put_position(here, key, ledger.replace(before, vtoken_balance=balance, status=status))


@ledger.on(HANDLERS, events.Deposit)
def _deposit(book: ledger.Ledger, here: ledger.Context, event: events.Deposit) -> None:
    book.said.explain(_earn_key(here, event.owner), event.shares)
    _moved(book, here, event.owner, "supply", event.assets)


@ledger.on(HANDLERS, events.Withdraw)
def _withdraw(book: ledger.Ledger, here: ledger.Context, event: events.Withdraw) -> None:
    book.said.explain(_earn_key(here, event.owner), -event.shares)
    _moved(book, here, event.owner, "withdraw", -event.assets)


def _moved(book: ledger.Ledger, here: ledger.Context, owner: int, type_: str, assets: int) -> None:
    key = _earn_key(here, owner)
    if key not in book.world.positions:
        # Assets too few for a share: the Transfer before was of nothing and made no position.
        book.put_position(here, key, ledger.replace(book.position(key), status="closed"))
    book.transaction(here, 0, key, type_, key.collateral, assets)
