"""The OpenAPI 3.1 document, built from the routes' descriptions."""

from __future__ import annotations

import http
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from indexer.api import answering, exports, problems, queries, routes, watching
from indexer.query import filters, kinds

SCHEMAS: dict[str, dict[str, Any]] = {
    "felt": {"type": "string", "pattern": "^0[xX][0-9a-fA-F]{1,64}$"},
    "integer": {"type": "string", "pattern": "^-?[0-9]{1,77}$"},
    "decimal": {"type": "string", "pattern": r"^-?[0-9]{1,77}(\.[0-9]{1,40})?$"},
    "block": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    "text": {"type": "string", "maxLength": kinds.MAX_TEXT},
    "time": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "boolean": {"type": "boolean"},
}
EXAMPLES: dict[str, str] = {
    "felt": "0x" + "0" * 61 + "abc",
    "integer": "1000000",
    "decimal": "1.05",
    "block": "90",
    "text": "USDC",
    "time": "2025-10-02T12:00:00Z",
    "uuid": "7b52a55c-8e0b-5c4e-9d1f-0d8a9f6f2f11",
    "boolean": "true",
}
MOMENT = (
    queries.Parameter("at_block", "block", "The state at this committed block.", "90"),
    queries.Parameter("at_hash", "felt", "The state at the block with this hash.", "0x1"),
    queries.Parameter(
        "at_time",
        "time",
        "The state of the last block up to then, with interest accrued to then (ISO 8601 or "
        "seconds since 1970).",
        "2025-10-02T12:00:00Z",
    ),
    queries.Parameter(
        "min_block", "block", "Wait up to 10 s until this block is committed, else 425.", "90"
    ),
    queries.MAX_PRICE_AGE,
)
MEANINGS = {
    "": "equal to",
    "_in": "one of, separated by commas",
    "_gte": "at least",
    "_lte": "at most",
}
STATUSES = (304, 400, 401, 404, 409, 410, 414, 425, 429, 431, 500, 503)
WRITING_STATUSES = (400, 401, 409, 413, 414, 429, 431, 500, 503)


def document(described: Sequence[routes.Route]) -> dict[str, Any]:
    """The document."""
    types = [*{id(route.data): route.data for route in described}.values()]
    schemas, components = msgspec.json.schema_components(
        [*types, answering.Meta, problems.Problem, watching.Body],
        ref_template="#/components/schemas/{name}",
    )
    by_type = {id(type_): schema for type_, schema in zip(types, schemas, strict=False)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vesu-indexer",
            "version": answering.VERSION,
            "description": "Exact numbers of the Vesu lending protocol, at any block.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            **{
                route.path: {"get": _operation(route, by_type[id(route.data)])}
                for route in described
            },
            "/v1/export/{table}": {"get": _export()},
            watching.PATH: {"post": _watch(by_type[id(watching.SIGHTING.data)])},
        },
        "components": {
            "schemas": components,
            "responses": {
                str(status): _refusal(status) for status in sorted({*STATUSES, *WRITING_STATUSES})
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _operation(route: routes.Route, data: dict[str, Any]) -> dict[str, Any]:
    description = route.description
    if route.example:
        description = f"{description}\n\nExample: `{route.path}?{route.example}`".strip()
    return {
        "operationId": _operation_id(route.path),
        "summary": route.summary,
        "description": description,
        "tags": [route.tag],
        "parameters": list(_parameters(route)),
        "responses": {
            "200": {
                "description": route.summary,
                "headers": {"ETag": {"schema": {"type": "string"}}, **MOMENT_HEADERS},
                "content": {"application/json": {"schema": _answered(data)}},
            },
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in STATUSES},
        },
    }


MOMENT_HEADERS = {name: {"schema": {"type": "string"}} for name in ("X-Vesu-Block", "X-Vesu-Age")}


def _answered(data: dict[str, Any]) -> dict[str, Any]:
    """The envelope of an answer's data."""
    return {
        "type": "object",
        "required": ["data", "meta", "next"],
        "additionalProperties": False,
        "properties": {
            "data": data,
            "meta": {"$ref": "#/components/schemas/Meta"},
            "next": {
                "type": ["string", "null"],
                "description": "Cursor of the next page; null: there is none.",
            },
        },
    }


def _watch(data: dict[str, Any]) -> dict[str, Any]:
    """The only operation that writes; it always needs a key."""
    body = {
        "schema": {"$ref": "#/components/schemas/Body"},
        "example": {"hash": EXAMPLES["felt"]},
    }
    return {
        "operationId": "watch",
        "summary": "Watch a transaction, from before it is on chain",
        "description": "Sent again it changes nothing; a watch that was dropped begins again.",
        "tags": [watching.SIGHTING.tag],
        "security": [{"key": []}],
        "parameters": [],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {
                "description": watching.SIGHTING.summary,
                "headers": MOMENT_HEADERS,
                "content": {"application/json": {"schema": _answered(data)}},
            },
            **{
                str(status): {"$ref": f"#/components/responses/{status}"}
                for status in WRITING_STATUSES
            },
        },
    }


def _export() -> dict[str, Any]:
    content: dict[str, Any] = {
        form.partition(";")[0]: {"schema": {}} for form in exports.TYPES.values()
    }
    parameters = [_parameter(exports.TABLE, "path")]
    return {
        "operationId": "export_table",
        "summary": "A table, or a part of it, as a file",
        "tags": ["export"],
        "parameters": [
            *parameters,
            *(_parameter(parameter, "query") for parameter in exports.PARAMETERS),
        ],
        "responses": {
            "200": {"description": "The rows in a fixed order.", "content": content},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in STATUSES},
        },
    }


def _operation_id(path: str) -> str:
    return path.removeprefix("/v1/").replace("{", "").replace("}", "").replace("/", "_")


def _parameters(route: routes.Route) -> Iterable[dict[str, Any]]:
    for parameter in route.parts:
        yield _parameter(parameter, "path")
    for parameter in route.parameters:
        yield _parameter(parameter, "query")
    for field in route.filters.values():
        for suffix in filters.operators(field):
            yield _filter(field, suffix)
    if route.is_list:
        orders = [sign + name for name in route.orders for sign in ("", "-")]
        yield _query_parameter(
            "order", "By which field; with - the largest first.", {"enum": orders}
        )
        bounds = {"type": "integer", "minimum": 1, "maximum": filters.MAX_LIMIT}
        yield _query_parameter(
            "limit", "Rows of a page.", bounds | {"default": filters.DEFAULT_LIMIT}
        )
        yield _query_parameter(
            "cursor", "`next` of the page before, with all else as it was.", {"type": "string"}
        )
    if route.is_of_moment:
        for parameter in MOMENT:
            yield _parameter(parameter, "query")


def _parameter(parameter: queries.Parameter, location: str) -> dict[str, Any]:
    schema = dict(SCHEMAS[parameter.kind])
    if parameter.values:
        schema = {"enum": list(parameter.values)}
    if parameter.minimum is not None:
        schema["minimum"] = parameter.minimum
    if parameter.maximum is not None:
        schema["maximum"] = parameter.maximum
    return {
        "name": parameter.name,
        "in": location,
        "required": location == "path" or parameter.is_required,
        "description": parameter.description,
        "schema": schema,
        "example": int(parameter.example) if parameter.kind == "block" else parameter.example,
    }


def _filter(field: kinds.Field, suffix: str) -> dict[str, Any]:
    schema = {"enum": list(field.values)} if field.values else SCHEMAS[field.kind]
    if suffix == "_in":
        schema = {"type": "array", "items": schema, "minItems": 1, "maxItems": filters.MAX_VALUES}
    example: Any = field.values[0] if field.values else EXAMPLES[field.kind]
    if field.kind == "block":
        example = int(example)
    found = _query_parameter(
        f"{field.name}{suffix}", f"`{field.name}` is {MEANINGS[suffix]} this.", schema
    )
    if suffix == "_in":
        return found | {"style": "form", "explode": False, "example": [example]}
    return found | {"example": example}


def _query_parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
    }


def _refusal(status: int) -> dict[str, Any]:
    if status == 304:
        return {"description": "Not modified: the ETag that was sent is still right."}
    return {
        "description": http.HTTPStatus(status).phrase,
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
