"""The ASGI application: every route answers in one way and refuses in one way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import litestar
import msgspec
import structlog
from litestar import datastructures, response, types
from litestar import exceptions as litestar_errors
from litestar.config import compression, cors

from indexer.api import (
    answering,
    cursors,
    exports,
    gate,
    openapi,
    probes,
    problems,
    routes,
    table,
    watching,
)
from indexer.query import configuration, counts, debts, position_pages, states, status

log = structlog.get_logger(__name__)

READ = [litestar.HttpMethod.GET, litestar.HttpMethod.HEAD]
COMPRESSED_FROM = 1_024


class Options(msgspec.Struct, frozen=True):
    """How the API behaves. `cursor_secret` is the same on all servers of one API.

    `cors_origins`: the origins whose pages may read the API; empty: no page of another origin.
    `watch_url`: the database in which watches are begun; None: none can be.
    """

    limits: status.Limits = status.DEFAULTS
    rules: gate.Rules = gate.Rules()
    cursor_secret: str = ""
    cors_origins: tuple[str, ...] = ()
    watch_url: str | None = None


DEFAULTS = Options()


def app(
    pool: asyncpg.Pool,
    options: Options,
    metrics: probes.Metrics,
    counted: counts.Counts,
) -> types.ASGIApp:
    """The application; it asks through `pool`, which stays the caller's to close."""
    shared = routes.Shared(
        states.States(),
        position_pages.Pages(),
        debts.Debts(),
        configuration.Configurations(),
        options.limits,
        counted,
    )
    signer = cursors.Signer(options.cursor_secret.encode())
    cache = "private, no-cache" if options.rules.is_key_required else "no-cache"
    service = answering.Service(pool, shared, signer, cache)
    handlers = [_handler(service, route) for route in table.ROUTES]
    origins = list(options.cors_origins)
    made = litestar.Litestar(
        route_handlers=[
            *(probes.health, probes.ready, probes.prometheus),
            _document(table.ROUTES),
            _exports(exports.Exporter(pool)),
            watching.handler(service, gate.Keys(options.rules.keys), options.watch_url),
            *handlers,
        ],
        state=datastructures.State({"pool": pool, "limits": options.limits, "metrics": metrics}),
        exception_handlers={Exception: _refused, litestar_errors.HTTPException: _refused},
        openapi_config=None,
        compression_config=compression.CompressionConfig(
            "gzip", minimum_size=COMPRESSED_FROM, gzip_compress_level=4
        ),
        cors_config=cors.CORSConfig(
            allow_origins=origins,
            allow_methods=["GET", "HEAD"],
            expose_headers=["etag", "retry-after", "x-vesu-age", "x-vesu-block"],
        )
        if origins
        else None,
        request_max_body_size=gate.MAX_BODY,
        logging_config=None,
    )
    return gate.Gate(made, options.rules)


def _handler(service: answering.Service, route: routes.Route) -> Any:
    """The handler of a route; all routes answer in the same way."""

    async def handle(request: litestar.Request[Any, Any, Any]) -> litestar.Response[bytes]:
        return await service.answer(request, route, request.path_params)

    path = route.path.replace("}", ":str}")
    return litestar.route(path, http_method=READ, name=route.path)(_named(handle, route.path))


def _named(
    handle: Callable[..., Awaitable[litestar.Response[bytes]]], path: str
) -> Callable[..., Awaitable[litestar.Response[bytes]]]:
    handle.__name__ = path
    return handle


def _exports(exporter: exports.Exporter) -> Any:
    @litestar.route("/v1/export/{table:str}", http_method=READ)
    async def export_table(request: litestar.Request[Any, Any, Any]) -> response.Stream:
        return await exporter.answer(request)

    return export_table


def _document(described: Sequence[routes.Route]) -> Any:
    document = msgspec.json.encode(openapi.document(described))

    @litestar.route("/openapi.json", http_method=READ, sync_to_thread=False)
    def openapi_json() -> litestar.Response[bytes]:
        return litestar.Response(document, media_type="application/json")

    return openapi_json


def _refused(
    request: litestar.Request[Any, Any, Any], error: Exception
) -> litestar.Response[bytes]:
    """An error as problem+json; details of an internal error are only in the log."""
    headers: dict[str, str] = {}
    problem: problems.Problem | None
    if isinstance(error, litestar_errors.HTTPException):
        problem = problems.problem(error.status_code, error.detail)
        headers = dict(error.headers or {})
    else:
        problem = problems.of(error)
    if problem is None:
        log.error("request_failed", path=request.scope["path"], exc_info=error)
        problem = problems.INTERNAL
    return litestar.Response(
        problem.body,
        status_code=problem.status,
        headers={**headers, **problem.headers},
        media_type=problems.MEDIA_TYPE,
    )
