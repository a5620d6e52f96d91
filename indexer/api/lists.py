"""Routes of append-only rows: transactions, liquidations, events, blocks, prices."""

from __future__ import annotations

from typing import Any

import msgspec

from indexer.api import queries, routes
from indexer.query import event_pages, filters, listing, records, watches

USER = queries.Parameter("user", "felt", "Address of a wallet.", "0x1")
HASH = queries.Parameter("hash", "felt", "Hash of a transaction.", "0x1")


def page_of(listed: listing.Listing) -> routes.Handler:
    """The handler of a list."""

    async def handle(question: routes.Question) -> routes.Answer:
        page = await listing.page(
            question.connection, listed, question.moment.block_number, question.page_query
        )
        return routes.Answer(page.rows, page.next)

    return handle


def _list(
    name: str, listed: listing.Listing, summary: str, example: str, **options: Any
) -> routes.Route:
    return routes.Route(
        f"/v1/{name}",
        summary,
        page_of(listed),
        list[listed.row],  # type: ignore[name-defined]
        "records",
        filters=listed.fields,
        orders=listed.allowed,
        example=example,
        **options,
    )


async def _events(question: routes.Question) -> routes.Answer:
    page = await event_pages.page(
        question.connection, question.moment.block_number, question.page_query
    )
    return routes.Answer(page.rows, page.next)


class TransactionState(watches.Sighting, frozen=True):
    """What is known of a transaction, and its effects on positions (`rows`) in order.

    Of a question that names a moment: as the tables were then.
    """

    rows: list[records.Transaction]


async def _transaction(question: routes.Question) -> routes.Answer:
    """The state of one transaction, also where its hash is unknown."""
    condition = filters.Condition("transaction_hash", "=", (question.path["hash"],))
    order = filters.Order("block_number")
    page_query = filters.PageQuery((condition,), order, filters.MAX_LIMIT)
    page = await listing.page(
        question.connection, records.TRANSACTIONS, question.moment.block_number, page_query
    )
    known = await watches.read(question.connection, int(question.path["hash"], 16))
    if not question.is_at_head:
        known = watches.as_of(known, question.moment.block_number)
    return routes.Answer(TransactionState(**msgspec.structs.asdict(known), rows=page.rows))


async def _of_user(question: routes.Question) -> routes.Answer:
    """A user's transactions, newest first unless ordered otherwise."""
    page_query = question.page_query
    mine = filters.Condition("user_id", "=", (question.path["user"],))
    user_query = filters.PageQuery(
        (*page_query.conditions, mine), page_query.order, page_query.limit, page_query.after
    )
    page = await listing.page(
        question.connection, records.TRANSACTIONS, question.moment.block_number, user_query
    )
    return routes.Answer(page.rows, page.next)


ROUTES = (
    _list(
        "transactions",
        records.TRANSACTIONS,
        "What people did: supply, borrow, repay, withdraw, liquidation, transfer",
        "type=borrow&amount_gte=100&order=-timestamp&limit=10",
    ),
    routes.Route(
        "/v1/transactions/{hash}",
        "What became of a transaction: not seen, received, in a block, or indexed with its effects",
        _transaction,
        TransactionState,
        "records",
        parts=(HASH,),
        description="Of any hash, watched or not. A question that names a moment is answered from "
        "the chain's blocks up to it alone: the watch, which goes on, is not part of it.",
        has_tag=False,
    ),
    routes.Route(
        "/v1/users/{user}/history",
        "What a user did",
        _of_user,
        list[records.Transaction],
        "users",
        parts=(USER,),
        filters={
            name: field for name, field in records.TRANSACTIONS.fields.items() if name != "user_id"
        },
        orders=records.TRANSACTIONS.allowed,
        example="type_in=borrow,repay",
    ),
    _list(
        "liquidations",
        records.LIQUIDATIONS,
        "Liquidations",
        "bad_debt_gte=0.000001&order=-debt_repaid",
    ),
    routes.Route(
        "/v1/events",
        "The raw log, decoded",
        _events,
        list[records.Event],
        "records",
        filters=records.EVENTS.fields,
        orders=records.EVENTS.allowed,
        example="name=ModifyPosition&limit=10",
    ),
    _list("blocks", records.BLOCKS, "Stored blocks", "number_gte=1&order=number&limit=10"),
    _list("reorgs", records.REORGS, "Rollbacks that this database went through", "limit=10"),
    _list("prices", records.PRICES, "What oracles said", "block_number_lte=90&limit=10"),
)
