"""Every route of the API."""

from __future__ import annotations

from indexer.api import history, holdings, lists, markets, overview, routes

ROUTES: tuple[routes.Route, ...] = (
    *overview.ROUTES,
    *markets.ROUTES,
    *holdings.ROUTES,
    *history.ROUTES,
    *lists.ROUTES,
)
