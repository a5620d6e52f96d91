"""Every route of the API."""

from __future__ import annotations

from indexer.api import (
    compat,
    compat_vesu,
    history,
    holdings,
    lists,
    markets,
    overview,
    questions,
    routes,
    watching,
)

ROUTES: tuple[routes.Route, ...] = (
    *overview.ROUTES,
    *markets.ROUTES,
    *holdings.ROUTES,
    *history.ROUTES,
    *questions.ROUTES,
    *lists.ROUTES,
    *compat.ROUTES,
    *compat_vesu.ROUTES,
    watching.SIGHTING,
)
