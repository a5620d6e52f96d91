"""Routes of what is only ever added to: transactions, liquidations, events, blocks, prices."""

from __future__ import annotations

from typing import Any

from indexer import errors
from indexer.api import queries, routes
from indexer.query import filters, listing, records, watches

USER = queries.Parameter("user", "felt", "Address of a wallet.", "0x1")
HASH = queries.Parameter("hash", "felt", "Hash of a transaction.", "0x1")


def page_of(listed: listing.Listing) -> routes.Handler:
    """The handler of a list."""

    async def handle(question: routes.Question) -> routes.Answer:
        found = await listing.page(
            question.connection, listed, question.moment.block_number, question.wanted
        )
        return routes.Answer(found.rows, found.next)

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


async def _transaction(question: routes.Question) -> routes.Answer:
    """All effects of one transaction, in order."""
    asked = filters.Condition("transaction_hash", "=", (question.path["hash"],))
    order = filters.Order("block_number")
    wanted = filters.Wanted((asked,), order, filters.MAX_LIMIT)
    found = await listing.page(
        question.connection, records.TRANSACTIONS, question.moment.block_number, wanted
    )
    if not found.rows:
        known = await watches.read(question.connection, int(question.path["hash"], 16))
        raise errors.NotFoundError(
            f"no transaction {question.path['hash']} with an effect on a position is indexed up "
            f"to block {question.moment.block_number}{_seen(known)}",
            parameter="hash",
        )
    return routes.Answer(found.rows)


def _seen(known: watches.Sighting) -> str:
    """What is known of a transaction besides, for a refusal."""
    block_text = "" if known.block_number is None else f" (block {known.block_number})"
    watched = f", its watch is {known.status}" if known.is_watched else ""
    return f": it is {known.seen.replace('_', ' ')}{block_text}{watched}; see /v1/watch/{{hash}}"


async def _of_user(question: routes.Question) -> routes.Answer:
    """A user's transactions, newest first unless ordered otherwise."""
    wanted = question.wanted
    mine = filters.Condition("user_id", "=", (question.path["user"],))
    asked = filters.Wanted((*wanted.conditions, mine), wanted.order, wanted.limit, wanted.after)
    found = await listing.page(
        question.connection, records.TRANSACTIONS, question.moment.block_number, asked
    )
    return routes.Answer(found.rows, found.next)


ROUTES = (
    _list(
        "transactions",
        records.TRANSACTIONS,
        "What people did: supply, borrow, repay, withdraw, liquidation, transfer",
        "type=borrow&amount_gte=100&order=-timestamp&limit=10",
    ),
    routes.Route(
        "/v1/transactions/{hash}",
        "The effects of one transaction",
        _transaction,
        list[records.Transaction],
        "records",
        parts=(HASH,),
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
    _list("events", records.EVENTS, "The raw log, decoded", "name=ModifyPosition&limit=10"),
    _list("blocks", records.BLOCKS, "Stored blocks", "number_gte=1&order=number&limit=10"),
    _list("reorgs", records.REORGS, "Rollbacks that this database went through", "limit=10"),
    _list("prices", records.PRICES, "What oracles said", "block_number_lte=90&limit=10"),
)
