"""Maps every error to problem+json (RFC 9457) and its status, in one place."""

from __future__ import annotations

import http
from collections.abc import Mapping
from typing import Any

import asyncpg
import msgspec

from indexer import errors

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5

PASSING = (
    errors.NothingCommittedError,
    errors.DatabaseUnavailableError,
    errors.SchemaError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""Temporary errors: the database is away, busy, too slow, not filled or not migrated yet."""


NOT_WRITABLE = (errors.DatabaseReadOnlyError, errors.DatabaseRightsError)
"""Errors that only the operator can mend: a replica, or a role without the right."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an error. `parameter` names the one at fault; the rest explains a 410."""

    type: str
    title: str
    status: int
    detail: str
    parameter: str | None = None
    block_number: int | None = None
    block_hash: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a refusal: when to retry, and that no cache stores it."""
        headers = {"cache-control": "no-store"}
        if self.status in (425, 429, 503):
            headers["retry-after"] = str(1 if self.status == 429 else RETRY_SECONDS)
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return headers

    @property
    def body(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self)


def problem(status: int, detail: str, **extensions: Any) -> Problem:
    """A problem of a status; its type and title follow from it."""
    title = http.HTTPStatus(status).phrase
    kind = title.lower().replace(" ", "-")
    return Problem(f"urn:vesu-indexer:problem:{kind}", title, status, detail, **extensions)


def of(error: BaseException) -> Problem | None:
    """The problem for an error; None for an internal error, whose details are not shown."""
    if isinstance(error, errors.NothingCommittedError):
        return problem(503, str(error))
    if isinstance(error, errors.BusyError):
        return problem(503, str(error))
    if isinstance(error, NOT_WRITABLE):
        return problem(
            409,
            "no watch can be begun here: set watch.database_url to a primary, with "
            "a role that may execute start_watch_as_owner",
        )
    if isinstance(error, errors.AbandonedBlockError):
        return problem(
            410,
            str(error),
            parameter=error.parameter,
            block_number=error.block_number,
            block_hash=error.block_hash,
        )
    if isinstance(error, errors.QuestionError):
        status = _STATUS.get(type(error), 400)
        return problem(status, str(error), parameter=error.parameter)
    if isinstance(error, asyncpg.QueryCanceledError):
        return problem(503, "the database took too long: ask for less, or later")
    if isinstance(error, PASSING):
        return problem(503, f"the database does not answer ({silence(error)}): ask again")
    return None


def silence(error: BaseException) -> str:
    """Why the database does not answer, without its address, which is nobody's business here."""
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return "no server listens at its address"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, asyncpg.CannotConnectNowError):
        return "the server is starting or stopping"
    if isinstance(error, ConnectionError):
        return "the connection was lost"
    return type(error).__name__


_STATUS: Mapping[type[errors.QuestionError], int] = {
    errors.NotFoundError: 404,
    errors.NotCommittedError: 425,
    errors.UnknownStateError: 409,
}
INTERNAL = problem(500, "a mistake of the indexer's own; its log holds the details")
