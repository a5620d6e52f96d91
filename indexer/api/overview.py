"""Routes of the whole: the indexer's status."""

from __future__ import annotations

from indexer.api import routes
from indexer.query import status


async def _status(question: routes.Question) -> routes.Answer:
    return routes.Answer(await status.read(question.connection, question.shared.limits))


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
)
