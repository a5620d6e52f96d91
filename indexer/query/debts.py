"""Positions with debt at a moment, worth in integers: what risk is reckoned from."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from indexer.projections import positions as position_rows
from indexer.projections import valuations
from indexer.query import (
    computation,
    database_state,
    filters,
    listing,
    position_pages,
    position_versions,
    states,
)

MOST_KEPT = 2
"""Questions whose debts are kept until others are asked, each up to MOST_RANKED of them."""


class Debt(msgspec.Struct, frozen=True, gc=False):
    """A position with debt. `health` and both USD values x 10^18, rounded as in vesu_positions.

    `health` is None, and the values are 0, where a price is not known.
    """

    position_id: str
    pool_id: str
    is_listed: bool
    user_id: str
    collateral_address: str
    debt_address: str
    collateral_usd: int
    debt_usd: int
    health: int | None

    @property
    def pair(self) -> tuple[str, str, str]:
        """Pool id, collateral and debt asset."""
        return self.pool_id, self.collateral_address, self.debt_address


class Debts:
    """Reads and values the debts of a question; those of the latest questions are kept."""

    def __init__(self) -> None:
        self._kept: states.Kept[list[Debt]] = states.Kept(MOST_KEPT)

    async def find(
        self,
        connection: listing.Connection,
        state: states.State,
        standing: database_state.DatabaseState,
        conditions: Sequence[filters.Condition] = (),
    ) -> list[Debt]:
        """The positions with debt that pass the conditions on stored columns.

        QuestionError where they are more than `position_pages.MOST_RANKED`.
        """

        async def read() -> list[Debt]:
            owed = (*conditions, position_versions.OWES)
            listed = await position_versions.of_moment(connection, state.moment, standing, owed)
            stored = await position_pages.candidates(connection, state, owed, listed)
            return await computation.of(valued, state, stored)

        key = (states.identity(state.moment, standing), tuple(conditions))
        return await self._kept.made(key, read)


def valued(state: states.State, stored: Sequence[asyncpg.Record]) -> list[Debt]:
    """The debts that versions of positions hold, valued at the state's moment."""
    snapshot, texts = state.snapshot, dict[str, str]()
    valuer, known = snapshot.valuer(), texts.setdefault
    found = []
    for row in stored:
        key, position = position_rows.parse(row)
        is_active = position.status == "active"
        worth = valuer.worth(key, position) if is_active else valuations.EMPTIED
        is_priced = worth.health_factor is not None
        pool_id, collateral, debt = row["pool_id"], row["collateral_address"], row["debt_address"]
        found.append(
            Debt(
                str(row["id"]),
                known(pool_id, pool_id),
                snapshot.is_listed(key.pool),
                row["user_id"],
                known(collateral, collateral),
                known(debt, debt),
                (worth.collateral_usd or 0) if is_priced else 0,
                (worth.debt_usd or 0) if is_priced else 0,
                worth.health_factor,
            )
        )
    return found
