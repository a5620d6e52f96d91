"""Routes that compute: quotes, simulations, health, and positions open to liquidation."""

from __future__ import annotations

import contextlib
import datetime
import decimal
from collections.abc import Iterator
from typing import Any

from indexer import errors
from indexer.api import holdings, queries, routes
from indexer.query import (
    kinds,
    markets,
    opportunities,
    pnl,
    quotes,
    simulate,
    user_pnl,
)

MAX_ACTIONS = 10
PERIOD_DAYS = 30
SINCE = queries.Parameter(
    "since", "time", "From this time on; 30 days unless given.", "2025-10-02T12:00:00Z"
)
MAX_CHANGES = 20

POSITION = (
    queries.Parameter("pool", "felt", "Pool id; of V2, its address.", "0x1", is_required=True),
    queries.Parameter("collateral", "felt", "Collateral asset.", "0x2", is_required=True),
    queries.Parameter("debt", "felt", "Debt asset; 0x0 for none.", "0x3", is_required=True),
    queries.Parameter(
        "user", "felt", "Wallet; the position need not exist.", "0x4", is_required=True
    ),
    queries.Parameter("v_token", "felt", "Of a vToken holding: the vToken.", "0x0"),
)
AMOUNT = queries.Parameter("amount", "decimal", "In token units.", "1.5")
AMOUNT_RAW = queries.Parameter("amount_raw", "integer", "In raw units, instead.", "1500000")
MARGIN = queries.Parameter(
    "margin_seconds", "block", "Enough for so long.", "600", minimum=0, maximum=markets.MAX_AHEAD
)
AHEAD = queries.Parameter(
    "ahead_seconds", "block", "So much later.", "86400", minimum=0, maximum=markets.MAX_AHEAD
)
CHANGES = queries.Parameter(
    "price_changes",
    "text",
    "Relative changes of prices: ASSET:CHANGE, separated by commas; -0.2 is a fifth less.",
    "0x2:-0.2",
)
ACTIONS = queries.Parameter(
    "actions",
    "text",
    "Up to ten actions, separated by commas: supply=, withdraw=, borrow= or repay= and an amount "
    "in token units, raw: and raw units, `all` or `max`.",
    "supply=1.5,borrow=max",
    is_required=True,
)
CONDITIONS = (AHEAD, CHANGES)
POOL = queries.Parameter("pool", "felt", "Only this pool.", "0x1")
TERMS = (
    queries.Parameter("gas_usd", "decimal", "What the transaction costs.", "0.05"),
    queries.Parameter("slippage", "decimal", "Lost when selling what is seized.", "0.01"),
    queries.Parameter("capital_usd", "decimal", "The most that one may cost.", "10000"),
    queries.Parameter("min_profit_usd", "decimal", "The least net profit.", "1"),
)
COUNT = queries.Parameter("count", "block", "How many at most.", "100", minimum=1, maximum=500)


def position_ref(question: routes.Question) -> markets.PositionRef:
    """The position that the parameters name."""
    pool, collateral, debt, user = (
        int(question.get(name), 16) for name in ("pool", "collateral", "debt", "user")
    )
    return markets.PositionRef(
        pool, collateral, debt, user, int(question.get("v_token", "0x0"), 16)
    )


def conditions(question: routes.Question) -> markets.Conditions:
    """Time ahead and changes of prices."""
    changes: dict[int, decimal.Decimal] = {}
    parts = (
        question.query_values["price_changes"].split(",")
        if "price_changes" in question.query_values
        else []
    )
    if len(parts) > MAX_CHANGES:
        raise errors.QuestionError(
            f"price_changes: at most {MAX_CHANGES}", parameter="price_changes"
        )
    for part in parts:
        asset, _, change = part.partition(":")
        address = int(kinds.felt(asset, "price_changes"), 16)
        changes[address] = kinds.number(change, "price_changes")
    return markets.Conditions(question.get("ahead_seconds", 0), changes)


def _priced_at(prices: list[markets.Price]) -> datetime.datetime | None:
    return min((price.timestamp for price in prices if price.timestamp is not None), default=None)


async def _max_borrow(question: routes.Question) -> routes.Answer:
    return await _largest(question, quotes.max_borrow)


async def _max_withdraw(question: routes.Question) -> routes.Answer:
    return await _largest(question, quotes.max_withdraw)


async def _largest(question: routes.Question, ask: quotes.QuoteFunction) -> routes.Answer:
    quote = await ask(
        question.connection,
        position_ref(question),
        question.when,
        conditions(question),
        question.max_price_age,
    )
    return routes.Answer(quote, priced_at=_priced_at(quote.prices))


async def _total_repay(question: routes.Question) -> routes.Answer:
    repayment = await quotes.total_repay(
        question.connection,
        position_ref(question),
        question.when,
        question.get("margin_seconds", 0),
    )
    return routes.Answer(repayment)


async def _supply(question: routes.Question) -> routes.Answer:
    amount, raw = question.get("amount"), question.get("amount_raw")
    if (amount is None) == (raw is None):
        raise errors.QuestionError("give amount or amount_raw", parameter="amount")
    supplied = await quotes.supply_estimate(
        question.connection,
        position_ref(question),
        raw if amount is None else amount,
        question.when,
    )
    return routes.Answer(supplied)


async def _simulate(question: routes.Question) -> routes.Answer:
    return await _simulated(question, position_ref(question))


async def _simulated(question: routes.Question, position: markets.PositionRef) -> routes.Answer:
    texts = question.query_values["actions"].split(",")
    if len(texts) > MAX_ACTIONS:
        raise errors.QuestionError(f"actions: at most {MAX_ACTIONS}", parameter="actions")
    with _naming("actions"):
        actions = [simulate.parse(text) for text in texts]
        simulated = await simulate.simulate(
            question.connection,
            position,
            actions,
            question.when,
            conditions(question),
            question.max_price_age,
        )
    return routes.Answer(simulated, priced_at=_priced_at(simulated.prices))


@contextlib.contextmanager
def _naming(parameter: str) -> Iterator[None]:
    """Name the parameter in the error where a part of it is wrong."""
    try:
        yield
    except errors.NotFoundError:
        raise
    except errors.QuestionError as error:
        if error.parameter in (None, "action"):
            error.parameter = parameter
        raise


async def _simulate_one(question: routes.Question) -> routes.Answer:
    position = await holdings.position(question)
    return await _simulated(question, markets.PositionRef.of(position))


def _since(question: routes.Question) -> datetime.datetime:
    """The beginning of a period; 30 days before the moment by default."""
    since: datetime.datetime | None = question.get("since")
    return since or question.moment.valued_at - datetime.timedelta(days=PERIOD_DAYS)


async def _pnl(question: routes.Question) -> routes.Answer:
    position = await holdings.position(question)
    found = await pnl.of_position(
        question.connection, markets.PositionRef.of(position), _since(question), question.when
    )
    oldest = holdings.priced_at(await question.state(), {position.pool_id})
    return routes.Answer(found, priced_at=oldest)


async def _user_pnl(question: routes.Question) -> routes.Answer:
    user = int(question.path["user"], 16)
    found = await user_pnl.of_user(question.connection, user, _since(question), question.when)
    pool_ids = {position.pool_id for position in found.positions}
    oldest = holdings.priced_at(await question.state(), pool_ids)
    return routes.Answer(found, priced_at=oldest)


async def _opportunities(question: routes.Question) -> routes.Answer:
    pool = question.get("pool")
    terms = opportunities.Terms(
        question.get("gas_usd", decimal.Decimal(0)),
        question.get("slippage", decimal.Decimal(0)),
        question.get("capital_usd"),
        question.get("min_profit_usd"),
    )
    found = await opportunities.find(
        question.connection,
        terms,
        question.when,
        conditions(question),
        None if pool is None else int(pool, 16),
        question.get("count", 100),
        question.max_price_age,
    )
    prices = [price for opportunity in found.opportunities for price in opportunity.prices]
    return routes.Answer(found, priced_at=_priced_at(prices))


def _quote(name: str, summary: str, handler: Any, data: Any, *parameters: queries.Parameter) -> Any:
    return routes.Route(
        f"/v1/quotes/{name}",
        summary,
        handler,
        data,
        "questions",
        parameters=(*POSITION, *parameters),
    )


ROUTES = (
    _quote(
        "max-borrow",
        "The most that a position may borrow",
        _max_borrow,
        quotes.Quote,
        *CONDITIONS,
    ),
    _quote(
        "max-withdraw",
        "The most collateral that may leave a position",
        _max_withdraw,
        quotes.Quote,
        *CONDITIONS,
    ),
    _quote(
        "total-repay",
        "What clears a debt, with a margin of time",
        _total_repay,
        quotes.Repayment,
        MARGIN,
    ),
    _quote(
        "supply-estimate",
        "The shares that a supply brings",
        _supply,
        quotes.Supplied,
        AMOUNT,
        AMOUNT_RAW,
    ),
    routes.Route(
        "/v1/simulate",
        "What up to ten actions would do to a position, or why they would be refused",
        _simulate,
        simulate.Simulated,
        "questions",
        parameters=(*POSITION, ACTIONS, *CONDITIONS),
    ),
    routes.Route(
        "/v1/positions/{id}/simulate",
        "The same of a position by its id",
        _simulate_one,
        simulate.Simulated,
        "questions",
        parts=(holdings.POSITION,),
        parameters=(ACTIONS, *CONDITIONS),
    ),
    routes.Route(
        "/v1/positions/{id}/pnl",
        "Interest earned and paid, by day, and gains in USD, over a time (30 days)",
        _pnl,
        pnl.Pnl,
        "questions",
        parts=(holdings.POSITION,),
        parameters=(SINCE,),
    ),
    routes.Route(
        "/v1/users/{user}/pnl",
        "The same of all positions that a user ever had",
        _user_pnl,
        user_pnl.UserPnl,
        "users",
        parts=(holdings.USER,),
        parameters=(SINCE,),
    ),
    routes.Route(
        "/v1/liquidations/opportunities",
        "What may be liquidated, what it brings, and the calls that do it",
        _opportunities,
        opportunities.Opportunities,
        "questions",
        parameters=(POOL, *TERMS, COUNT, *CONDITIONS),
        example="gas_usd=0.05&slippage=0.01&min_profit_usd=1",
    ),
)
