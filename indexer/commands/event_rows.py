"""What the commands that list rows of events share: their filters, and table or JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from indexer.commands import columns, output, reader
from indexer.query import names, tables

Find = Callable[[asyncpg.Connection, int, tables.Filter], Awaitable[list[dict[str, Any]]]]


class Listing(NamedTuple):
    """Which rows a command shows, at most `limit`, and how."""

    config_file: Path | None
    find: Find
    columns: Sequence[columns.Column]
    limit: int
    as_json: bool
    wide: bool


def show(
    listing: Listing,
    pool: int | str | None,
    asset: int | str | None = None,
    **conditions: Any,
) -> None:
    """Print the rows of a pool and an asset that fulfil `conditions`, which `tables.Filter` names.

    Pool and asset may be given by name or symbol; None: of all.
    """

    async def question(connection: asyncpg.Connection) -> list[dict[str, Any]]:
        pool_id = None if pool is None else await names.pool(connection, pool)
        assets = None if asset is None else await names.assets(connection, asset, pool_id)
        row_filter = tables.Filter(pool=pool_id, assets=assets, **conditions)
        return await listing.find(connection, listing.limit, row_filter)

    found = reader.ask(listing.config_file, question)
    if listing.as_json:
        output.print_json(found)
    else:
        output.print_table(listing.columns, found, wide=listing.wide)
