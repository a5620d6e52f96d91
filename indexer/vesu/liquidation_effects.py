"""What every generation's liquidation adds to the ledger: its effect and two transactions."""

from __future__ import annotations

from typing import Protocol

from indexer.vesu import ledgers, state, valuation


class Liquidated(Protocol):
    """What a liquidation's event tells in every generation."""

    @property
    def liquidator(self) -> int: ...
    @property
    def debt_delta(self) -> int: ...
    @property
    def bad_debt(self) -> int: ...


def note(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    key: state.PositionKey,
    event: Liquidated,
    seized: int,
) -> None:
    """Note a liquidation of `key` that took `seized` raw units of collateral, and its two legs."""
    ledger.transaction(origin, 0, key, "liquidation", key.collateral, -seized)
    ledger.transaction(origin, 1, key, "liquidation", key.debt, event.debt_delta)
    repaid = -event.debt_delta - event.bad_debt
    collateral = ledger.asset_state(state.AssetKey(key.pool, key.collateral))
    debt = ledger.asset_state(state.AssetKey(key.pool, key.debt))
    ledger.journal.liquidations.append(
        state.LiquidationEffect(
            origin.event_key,
            key,
            event.liquidator,
            seized,
            repaid,
            event.bad_debt,
            seized - valuation.exchanged(repaid, debt, collateral),
            collateral.price or 0,
            debt.price or 0,
        )
    )
