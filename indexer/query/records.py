"""The append-only records as pages: transactions, liquidations, events, blocks, reorgs, prices."""

from __future__ import annotations

import datetime
from typing import Any, Literal

import msgspec

from indexer.query import kinds, listing

EVENT_KEY = ("block_number", "transaction_index", "event_index")


class Transaction(msgspec.Struct, frozen=True):
    """One effect of a transaction on a position: a row of vesu_transactions.

    `amount_raw` is signed as it changes the balance that it names; `amount` is its absolute value
    in token units. `gas_used` is the fee paid in `fee_unit`, once for the whole transaction.
    """

    id: kinds.Id
    pool_id: kinds.Felt
    position_id: kinds.Id
    user_id: kinds.Felt
    transaction_hash: kinds.Felt
    block_number: kinds.Block
    transaction_index: kinds.Block
    event_index: kinds.Block
    leg: kinds.Block
    type: Literal["supply", "borrow", "repay", "withdraw", "liquidation", "transfer"]
    asset: str | None
    asset_address: kinds.Felt
    amount: kinds.Amount
    amount_raw: kinds.Raw
    status: Literal["pending", "confirmed", "failed"]
    timestamp: datetime.datetime
    gas_used: kinds.Amount | None
    fee_unit: str | None
    error_message: str | None
    created_at: datetime.datetime


class Liquidation(msgspec.Struct, frozen=True):
    """One liquidation: a row of vesu_liquidations.

    `debt_repaid` is what the liquidator paid, without bad debt; `liquidation_bonus` is in units of
    the collateral; prices are USD × 10^18 as the contract used them.
    """

    id: kinds.Id
    pool_id: kinds.Felt
    position_id: kinds.Id
    user_id: kinds.Felt
    liquidator_address: kinds.Felt
    transaction_hash: kinds.Felt
    block_number: kinds.Block
    transaction_index: kinds.Block
    event_index: kinds.Block
    collateral_asset: str | None
    collateral_address: kinds.Felt
    debt_asset: str | None
    debt_address: kinds.Felt
    collateral_seized: kinds.Amount
    collateral_seized_raw: kinds.Raw
    debt_repaid: kinds.Amount
    debt_repaid_raw: kinds.Raw
    bad_debt: kinds.Amount
    bad_debt_raw: kinds.Raw
    liquidation_bonus: kinds.Amount
    collateral_price: kinds.Raw
    debt_price: kinds.Raw
    timestamp: datetime.datetime
    created_at: datetime.datetime


class Event(msgspec.Struct, frozen=True):
    """One event of the raw log. `name` and `args` are None where it could not be decoded.

    `keys` and `data` are felts as the chain gives them, in minimal hex; integers in `args` are
    text.
    """

    block_number: kinds.Block
    transaction_index: kinds.Block
    event_index: kinds.Block
    block_hash: kinds.Felt
    transaction_hash: kinds.Felt
    from_address: kinds.Felt
    contract: str | None
    name: str | None
    args: Any
    keys: list[str]
    data: list[str]


class Block(msgspec.Struct, frozen=True):
    """A stored block: one with an event of ours, or the last one of a batch."""

    number: kinds.Block
    hash: kinds.Felt
    parent_hash: kinds.Felt
    timestamp: datetime.datetime
    finality: Literal["accepted_l2", "accepted_l1"]
    events: kinds.Block


class Reorg(msgspec.Struct, frozen=True):
    """One rollback: a reorganisation of the chain, or a repair of the log."""

    id: kinds.Block
    cause: Literal["chain", "repair"]
    detected_at: datetime.datetime
    ancestor_number: kinds.Block
    ancestor_hash: kinds.Felt | None
    old_number: kinds.Block
    old_hash: kinds.Felt
    new_number: kinds.Block
    new_hash: kinds.Felt
    depth: kinds.Block
    events_orphaned: kinds.Block
    rows_restored: kinds.Block


class Price(msgspec.Struct, frozen=True):
    """A price as the pool's oracle said it: USD × 10^18, and whether it calls the price valid.

    `source` is event (the last that an event of the block told) or sample (the pool's view, asked
    at the block's end); `price` is None where a sample was refused.
    """

    asset_id: kinds.Id
    pool_id: kinds.Felt
    pool_address: kinds.Felt
    protocol: str
    asset_address: kinds.Felt
    block_number: kinds.Block
    block_hash: kinds.Felt
    timestamp: datetime.datetime
    price: kinds.Raw | None
    is_valid: bool
    source: Literal["event", "sample"]


TRANSACTIONS = listing.Listing(
    ("transactions",), Transaction, (*EVENT_KEY, "leg", "id"), ("timestamp", "created_at", "amount")
)
LIQUIDATIONS = listing.Listing(
    ("liquidations",),
    Liquidation,
    (*EVENT_KEY, "id"),
    ("timestamp", "created_at", "debt_repaid", "collateral_seized", "bad_debt"),
)
EVENTS = listing.Listing(("events",), Event, EVENT_KEY)
BLOCKS = listing.Listing(("blocks",), Block, ("number",), ("timestamp",))
REORGS = listing.Listing(("reorgs",), Reorg, ("id",))
PRICES = listing.Listing(
    ("event_prices", "sampled_prices"), Price, ("block_number", "pool_id", "asset_id", "source")
)
