"""What a vToken's events mean for its holders' positions."""

from __future__ import annotations

from indexer import errors
from indexer.vesu import events, ledger, state

HANDLERS: ledger.Handlers = {}


def _earn_key(here: ledger.Context, holder: int) -> state.PositionKey:
    known = here.known
    assert known.pool is not None and known.asset is not None, "a vToken has a pool and an asset"
    return state.PositionKey(known.pool, known.asset, 0, here.emitter, holder)


@ledger.on(HANDLERS, events.Transfer)
def _transfer(book: ledger.Ledger, here: ledger.Context, event: events.Transfer) -> None:
    # Mint and burn have 0x0 on one side; their people-facing rows are Deposit and Withdraw.
    between_holders = event.sender != 0 and event.recipient != 0
    sides = ((0, event.sender, -event.value), (1, event.recipient, event.value))
    for leg, holder, delta in sides:
        if holder == 0 or event.value == 0:
            continue
        key = _earn_key(here, holder)
        _change_balance(book, here, key, delta)
        if between_holders:
            book.transaction(here, leg, key, "transfer", here.emitter, delta)


def _change_balance(
    book: ledger.Ledger, here: ledger.Context, key: state.PositionKey, delta: int
) -> None:
    before = book.position(key)
    balance = before.vtoken_balance + delta
    if balance < 0:
        raise errors.ProjectionError(
            f"event {tuple(here.at)} takes more vTokens from {key.user:#x} than it holds: "
            f"{balance} would remain; the log is incomplete"
        )
    status = "active" if balance else "closed"
    book.put_position(here, key, ledger.replace(before, vtoken_balance=balance, status=status))


@ledger.on(HANDLERS, events.Deposit)
def _deposit(book: ledger.Ledger, here: ledger.Context, event: events.Deposit) -> None:
    key = _earn_key(here, event.owner)
    book.transaction(here, 0, key, "supply", key.collateral, event.assets)


@ledger.on(HANDLERS, events.Withdraw)
def _withdraw(book: ledger.Ledger, here: ledger.Context, event: events.Withdraw) -> None:
    key = _earn_key(here, event.owner)
    book.transaction(here, 0, key, "withdraw", key.collateral, -event.assets)
