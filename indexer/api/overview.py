"""Routes about the whole deployment: status, statistics, fees, risk, liquidators."""

from __future__ import annotations

import datetime

from indexer import errors
from indexer.api import history, holdings, queries, routes
from indexer.query import (
    caps,
    computation,
    fees,
    filters,
    kinds,
    liquidators,
    point_in_time,
    proof,
    risk,
    series,
    sorting,
    states,
    stats,
    status,
)

SINCE = queries.Parameter("since", "time", "From this time on.", "2025-10-02T12:00:00Z")
TOP = queries.Parameter("top", "block", "How many at most.", "20", minimum=1, maximum=500)
PAIR = (
    queries.Parameter("pool_id", "felt", "Only this pool.", "0x1"),
    queries.Parameter("collateral_address", "felt", "Only with this collateral.", "0x1"),
    queries.Parameter("debt_address", "felt", "Only with this debt asset.", "0x1"),
)
FALLING = queries.Parameter(
    "falling",
    "text",
    "Addresses, separated by commas, of assets that fall together; left out: every collateral "
    "falls against its debt.",
    "0x1,0x2",
)
OF = queries.Parameter("of", "text", "What is concentrated.", "debt", values=("debt", "collateral"))
BEGINNING = datetime.datetime.fromtimestamp(0, datetime.UTC)


async def _status(question: routes.Question) -> routes.Answer:
    return routes.Answer(
        await status.read(question.connection, question.shared.limits, question.shared.counts)
    )


async def _proof(question: routes.Question) -> routes.Answer:
    return routes.Answer(
        await proof.of(
            question.connection,
            question.moment,
            question.shared.limits,
            question.shared.counts,
        )
    )


async def _stats(question: routes.Question) -> routes.Answer:
    state = await question.state()
    found = await stats.at(question.connection, state, question.shared.counts)
    return routes.Answer(found, priced_at=holdings.priced_at(state, None))


async def _stats_history(question: routes.Question) -> routes.Answer:
    protocol_points = await series.of_protocol(
        question.connection, question.moment, history.span(question)
    )
    return routes.Answer([question.aged(point) for point in protocol_points])


async def _fees(question: routes.Question) -> routes.Answer:
    now, since = await question.state(), question.get("since")
    if since is None:
        since = question.moment.valued_at - datetime.timedelta(days=1)
    then = await state_at(question, since)
    found = await fees.between(question.connection, then, now)
    return routes.Answer(found, priced_at=holdings.priced_at(now, None))


async def state_at(question: routes.Question, time: datetime.datetime) -> states.State | None:
    """The state at an earlier time; None before the first block."""
    if time > question.moment.valued_at:
        raise errors.QuestionError("since lies after the moment", parameter="since")
    try:
        moment = await point_in_time.moment(question.connection, time)
    except errors.NotFoundError:
        return None
    return await question.shared.states.of_moment(
        question.connection, moment, question.database_state
    )


async def _leaderboard(question: routes.Question) -> routes.Answer:
    found = await liquidators.leaderboard(
        question.connection,
        question.moment,
        question.get("since", BEGINNING),
        question.get("top", 100),
    )
    return routes.Answer(found)


async def _indebted(question: routes.Question) -> tuple[states.State, risk.Indebted]:
    conditions = [
        filters.Condition(parameter.name, "=", (question.get(parameter.name),))
        for parameter in PAIR
        if parameter.name in question.query_values
    ]
    state = await question.state()
    found = await question.shared.debts.find(
        question.connection, state, question.database_state, conditions
    )
    return state, risk.indebted(found, is_of_pool="pool_id" in question.query_values)


def _priced_at(state: states.State, indebted: risk.Indebted) -> datetime.datetime | None:
    return holdings.priced_at(state, {debt.pool_id for debt in indebted.counted})


async def _curve(question: routes.Question) -> routes.Answer:
    state, found = await _indebted(question)
    falling = None
    if "falling" in question.query_values:
        parts = question.query_values["falling"].split(",")
        falling = {kinds.felt(part, "falling") for part in parts}
    curve = await computation.of(risk.curve, state, found, falling)
    return routes.Answer(curve, priced_at=_priced_at(state, found))


async def _heatmap(question: routes.Question) -> routes.Answer:
    state, found = await _indebted(question)
    cells = await computation.of(risk.heatmap, state, found)
    return routes.Answer(cells, priced_at=_priced_at(state, found))


async def _concentration(question: routes.Question) -> routes.Answer:
    state, found = await _indebted(question)
    of, top = question.get("of", "debt"), question.get("top", 20)
    concentration = await computation.of(risk.concentration, found, of, top)
    return routes.Answer(concentration, priced_at=_priced_at(state, found))


async def _bad_debt(question: routes.Question) -> routes.Answer:
    state, found = await _indebted(question)
    realised = await risk.realised(question.connection, state)
    lost = await computation.of(risk.bad_debt, state, found, realised)
    return routes.Answer(lost, priced_at=_priced_at(state, found))


async def _caps(question: routes.Question) -> routes.Answer:
    state = await question.state()
    found = sorting.page(
        caps.every(state), caps.FIELDS, question.page_query, filters.Order(caps.ORDERS[0])
    )
    return routes.Answer(found.rows, found.next)


ROUTES = (
    routes.Route(
        "/v1/status",
        "How fresh the tables are, and what is proved of them",
        _status,
        status.Status,
        "overview",
        is_of_moment=False,
        has_tag=False,
    ),
    routes.Route(
        "/v1/proof",
        "How a block's events are known to be complete, and what checks of the tables found",
        _proof,
        proof.Proof,
        "overview",
        example="at_block=90",
        has_tag=False,
    ),
    routes.Route(
        "/v1/stats",
        "The protocol in numbers",
        _stats,
        stats.Stats,
        "overview",
        example="at_block=90",
    ),
    routes.Route(
        "/v1/stats/history",
        "The protocol's sums in points",
        _stats_history,
        list[series.ProtocolPoint],
        "overview",
        parameters=history.SPAN,
        example="interval=week",
    ),
    routes.Route(
        "/v1/fees",
        "Interest that borrowers paid over a time (a day), and the fees in it",
        _fees,
        fees.Fees,
        "overview",
        parameters=(SINCE,),
        example="since=2025-10-02T12:00:00Z",
    ),
    routes.Route(
        "/v1/liquidations/leaderboard",
        "Liquidators by what they repaid",
        _leaderboard,
        list[liquidators.Liquidator],
        "records",
        parameters=(SINCE, TOP),
        example="top=20",
    ),
    routes.Route(
        "/v1/risk/curve",
        "What falls of prices by 0 to 100 % endanger",
        _curve,
        risk.Curve,
        "risk",
        parameters=(*PAIR, FALLING),
    ),
    routes.Route(
        "/v1/risk/heatmap",
        "Debt by pair and by the part of the limit that is used",
        _heatmap,
        list[risk.Cell],
        "risk",
        parameters=PAIR,
    ),
    routes.Route(
        "/v1/risk/concentration",
        "The largest debtors, and how concentrated debt or collateral is",
        _concentration,
        risk.Concentration,
        "risk",
        parameters=(*PAIR, OF, TOP),
        example="of=debt&top=20",
    ),
    routes.Route(
        "/v1/risk/caps",
        "Each pair's debt against its cap, and the room that is left",
        _caps,
        list[caps.Cap],
        "risk",
        filters=caps.FIELDS,
        orders=caps.ORDERS,
        example="used_gte=0.9&order=-used",
    ),
    routes.Route(
        "/v1/risk/bad-debt",
        "Bad debt, realised by liquidations and unrealised at today's prices",
        _bad_debt,
        risk.BadDebt,
        "risk",
        parameters=PAIR,
    ),
)
