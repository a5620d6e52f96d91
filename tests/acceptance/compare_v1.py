"""Holds our tables against the answers of Vesu V1's contracts, view by view.

What our tables say at a block: the last history row up to it, accrued to the block's time by the
functions that the indexer itself uses. Nothing stops at the first difference; all are collected.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from indexer.vesu import accrual, maths, state, valuation
from tests.acceptance import tables_v1, truth_v1

Fields = dict[str, tuple[Any, Any]]
"""Ours and theirs by field."""


class Difference(NamedTuple):
    """One field in which the tables and a contract differ."""

    generation: str
    view: str
    block: int
    field: str
    ours: Any
    theirs: Any
    contract: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        named = {
            name: hex(value) if isinstance(value, int) else value
            for name, value in self.arguments.items()
        }
        return (
            f"block {self.block} {self.generation} {self.view} of {self.contract} {named}: "
            f"{self.field} is {self.ours} here, {self.theirs} there"
        )


class Comparison:
    """Compares views; counts what it compared by (generation, view), keeps what differed."""

    def __init__(self, recorded: truth_v1.RecordedV1, tables: tables_v1.Tables) -> None:
        self.recorded = recorded
        self.tables = tables
        self.compared: collections.Counter[tuple[str, str]] = collections.Counter()
        self.differences: list[Difference] = []

    def run(self, *views: str) -> int:
        """Compare every answer of these views; how many values that were."""
        before = self.compared.total()
        for view in views:
            compare = _COMPARE[view]
            for answer in self.recorded.answered(view):
                self._note(answer, compare(self, answer))
        return self.compared.total() - before

    def report(self) -> str:
        """Numbers of comparisons by generation and view, and the first differences."""
        lines = [
            f"{generation:14} {view:32} {count:7}"
            for (generation, view), count in sorted(self.compared.items())
        ]
        if self.differences:
            lines.append(f"{len(self.differences)} differences, the first of each kind:")
        shown = {(one.generation, one.view, one.field): one for one in reversed(self.differences)}
        return "\n".join([*lines, *map(str, reversed(shown.values()))])

    def _note(self, answer: truth_v1.Answer, fields: Fields) -> None:
        for field, (ours, theirs) in fields.items():
            self.compared[answer.generation, answer.view] += 1
            if ours != theirs:
                self.differences.append(
                    Difference(
                        answer.generation,
                        answer.view,
                        answer.block,
                        field,
                        ours,
                        theirs,
                        self.recorded.contracts[answer.contract],
                        answer.arguments,
                    )
                )

    # --- pools -----------------------------------------------------------------------------

    def pool(self, answer: truth_v1.Answer) -> Fields:
        if "pool_id" not in answer.arguments:
            return {}  # the same view of a vToken
        key = tables_v1.PoolAt(
            self.recorded.singleton_of(answer.contract), answer.arguments["pool_id"]
        )
        ours = self.tables.pools.at(key, answer.block)
        if ours is None:
            return _missing
        match answer.view:
            case "extension":
                return {"extension": (ours.extension, answer.value)}
            case "pool_owner":
                return {"owner": (ours.owner or 0, answer.value)}
            case "fee_config":
                return {"fee_recipient": (ours.fee_recipient or 0, answer.value.fee_recipient)}
        return {"name": (ours.name, answer.value.to_bytes(31, "big").strip(bytes(1)).decode())}

    # --- assets ----------------------------------------------------------------------------

    def asset_config(self, answer: truth_v1.Answer) -> Fields:
        stored = self._stored(answer)
        if stored is None:
            return _missing
        accrued = accrual.accrue(stored, self._time(answer))
        theirs: truth_v1.AssetConfig = answer.value.config
        fields = {
            name: (getattr(accrued, name), getattr(theirs, name))
            for name in theirs.__struct_fields__
        }
        minted = accrued.fee_shares - stored.fee_shares
        return fields | {"fee_shares": (minted, answer.value.fee_shares)}

    def rate(self, answer: truth_v1.Answer) -> Fields:
        accrued = self._accrued(answer)
        if accrued is None:
            return _missing
        if answer.view == "interest_rate" and not self._is_in_charge(answer):
            return {}
        if answer.view == "rate_accumulator_unsafe":
            ours = accrued.last_rate_accumulator
        elif answer.view == "utilization_unsafe":
            ours = accrued.utilization
        else:
            ours = accrual.current_rate(accrued, accrued.last_updated)[0]
        return {"value": (ours, answer.value)}

    def rate_model(self, answer: truth_v1.Answer) -> Fields:
        stored = self._stored(answer)
        if stored is None:
            return _missing
        theirs: truth_v1.InterestRateConfig = answer.value
        return {
            name: (getattr(stored.model, name), getattr(theirs, name))
            for name in theirs.__struct_fields__
        }

    def price(self, answer: truth_v1.Answer) -> Fields:
        """The price that an event of the same block told."""
        stored = self._stored(answer)
        if stored is None or stored.price_block != answer.block or self._is_late(answer):
            return {}
        theirs: truth_v1.AssetPrice = answer.value
        return {
            "value": (stored.price, theirs.value),
            "is_valid": (stored.price_is_valid, theirs.is_valid),
        }

    def v_token(self, answer: truth_v1.Answer) -> Fields:
        key = self._asset(answer, answer.arguments["collateral_asset"])
        stored = self.tables.assets.at(key, answer.block)
        return {"v_token": (stored.v_token if stored else None, answer.value)}

    # --- pairs -----------------------------------------------------------------------------

    def pair(self, answer: truth_v1.Answer) -> Fields:
        key = tables_v1.PairAt(
            self.recorded.singleton_of(answer.contract),
            answer.arguments["pool_id"],
            answer.arguments["collateral_asset"],
            answer.arguments["debt_asset"],
        )
        ours = self.tables.pairs.at(key, answer.block) or state.PairState()
        theirs = answer.value
        match answer.view:
            case "ltv_config":
                return {"max_ltv": (ours.max_ltv, theirs.max_ltv)}
            case "liquidation_config":
                return {"liquidation_factor": (ours.liquidation_factor, theirs.liquidation_factor)}
            case "debt_caps":
                return {"debt_cap": (ours.debt_cap, theirs)}
        return {
            "total_collateral_shares": (
                ours.total_collateral_shares,
                theirs.total_collateral_shares,
            ),
            "total_nominal_debt": (ours.total_nominal_debt, theirs.total_nominal_debt),
        }

    # --- positions -------------------------------------------------------------------------

    def position(self, answer: truth_v1.Answer) -> Fields:
        ours, theirs = self._position(answer), answer.value
        collateral, debt = self._markets(answer)
        if collateral is None or debt is None:
            return _missing
        return {
            "collateral_shares": (ours.collateral_shares, theirs.position.collateral_shares),
            "nominal_debt": (ours.nominal_debt, theirs.position.nominal_debt),
            "collateral": (
                accrual.collateral_of(ours.collateral_shares, collateral),
                theirs.collateral,
            ),
            "debt": (accrual.debt_of(ours.nominal_debt, debt), theirs.debt),
        }

    def collateralization(self, answer: truth_v1.Answer) -> Fields:
        """Values and safety, given the prices of the block's end."""
        collateral, debt = self._markets(answer)
        if collateral is None or debt is None:
            return _missing
        pair = self.tables.pairs.at(tables_v1.PairAt(*self._place(answer)[:4]), answer.block)
        position = self._position(answer)
        worth = valuation.value(
            position,
            self._priced(answer, answer.arguments["collateral_asset"], collateral),
            self._priced(answer, answer.arguments["debt_asset"], debt),
            pair.max_ltv if pair else 0,
        )
        if position.migrated_block is not None:
            # V1.0 still answers, but V1.1 holds it all now.
            return {"worth": ((worth.collateral, worth.debt), (0, 0))}
        is_safe = worth.health_factor is None or worth.health_factor >= maths.SCALE
        theirs: truth_v1.Collateralized = answer.value
        return {
            "health_factor >= 1": (is_safe, theirs.is_safe),
            "collateral_usd": (worth.collateral_usd, theirs.collateral_value),
            "debt_usd": (worth.debt_usd, theirs.debt_value),
        }

    # --- vTokens ---------------------------------------------------------------------------

    def balance(self, answer: truth_v1.Answer) -> Fields:
        (holder,) = answer.arguments.values()
        ours = self.tables.holdings.at(tables_v1.HoldingAt(answer.contract, holder), answer.block)
        return {"balance": (ours.vtoken_balance if ours else 0, answer.value)}

    def supply(self, answer: truth_v1.Answer) -> Fields:
        total = self._supply(answer)
        if answer.view == "total_supply":
            return {"supply": (total, answer.value)}
        return {"assets": (self._worth(answer, total), answer.value)}

    def conversion(self, answer: truth_v1.Answer) -> Fields:
        (shares,) = answer.arguments.values()
        return {"assets": (self._worth(answer, shares), answer.value)}

    def _supply(self, answer: truth_v1.Answer) -> int:
        versions = (
            self.tables.holdings.at(key, answer.block)
            for key in self.tables.holdings
            if key.v_token == answer.contract
        )
        return sum(one.vtoken_balance for one in versions if one)

    def _worth(self, answer: truth_v1.Answer, shares: int) -> int | None:
        """Assets that vToken shares are worth, through the indexer's own valuation."""
        key = tables_v1.AssetAt(*self.recorded.all_v_tokens[answer.contract])
        stored = self.tables.assets.at(key, answer.block)
        if stored is None:
            return None
        accrued = accrual.accrue(stored, self._time(answer))
        holding = state.PositionState("earn", vtoken_balance=shares)
        return valuation.value(holding, accrued, None, 0).collateral

    # --- where things stand ----------------------------------------------------------------

    def _time(self, answer: truth_v1.Answer) -> int:
        return self.recorded.timestamps[answer.block]

    def _place(self, answer: truth_v1.Answer) -> tables_v1.PositionAt:
        given = answer.arguments
        return tables_v1.PositionAt(
            answer.contract,
            given["pool_id"],
            given["collateral_asset"],
            given["debt_asset"],
            given["user"],
        )

    def _asset(self, answer: truth_v1.Answer, asset: int) -> tables_v1.AssetAt:
        return tables_v1.AssetAt(
            self.recorded.singleton_of(answer.contract), answer.arguments["pool_id"], asset
        )

    def _stored(self, answer: truth_v1.Answer) -> accrual.AssetState | None:
        key = self._asset(answer, answer.arguments["asset"])
        return self.tables.assets.at(key, answer.block)

    def _is_in_charge(self, answer: truth_v1.Answer) -> bool:
        """Whether the pool still listens to the extension that answered."""
        pool = answer.arguments["pool_id"]
        place = (self.recorded.singleton_of(answer.contract), pool, answer.block)
        return self.recorded.extensions[place] == answer.contract

    def _is_late(self, answer: truth_v1.Answer) -> bool:
        """Whether the oracle was told another price after the block's last context."""
        given = answer.arguments
        singleton = self.recorded.singleton_of(answer.contract)
        told = self.recorded.told_prices[singleton, given["pool_id"], given["asset"], answer.block]
        submitted = self.recorded.submitted_prices.get((given["asset"], answer.block), told)
        return submitted > told

    def _accrued(self, answer: truth_v1.Answer) -> accrual.AssetState | None:
        stored = self._stored(answer)
        return None if stored is None else accrual.accrue(stored, self._time(answer))

    def _markets(
        self, answer: truth_v1.Answer
    ) -> tuple[accrual.AssetState | None, accrual.AssetState | None]:
        """Collateral and debt asset, accrued; no debt asset owes nothing."""

        def accrued(asset: int) -> accrual.AssetState | None:
            stored = self.tables.assets.at(self._asset(answer, asset), answer.block)
            return None if stored is None else accrual.accrue(stored, self._time(answer))

        debt = answer.arguments["debt_asset"]
        return (
            accrued(answer.arguments["collateral_asset"]),
            accrued(debt) if debt else accrual.AssetState(),
        )

    def _position(self, answer: truth_v1.Answer) -> state.PositionState:
        """The position's row; on V1.1 the V1.0 row where it has not been migrated yet."""
        place = self._place(answer)
        found = self.tables.positions.at(place, answer.block)
        if found is None and self.recorded.contracts[answer.contract] == "singleton_v11":
            before = self.recorded.address("singleton_v10")
            if before is not None:
                found = self.tables.positions.at(place._replace(pool_address=before), answer.block)
                # A closed row that still holds shares is one whose shares have moved to V1.1.
                found = None if found is None or found.status == "closed" else found
        return found or state.PositionState("borrow")

    def _priced(
        self, answer: truth_v1.Answer, asset: int, market: accrual.AssetState
    ) -> accrual.AssetState:
        if not asset:
            return market
        place = (answer.contract, answer.arguments["pool_id"], asset, answer.block)
        price = self.recorded.prices.get(place)
        if price is None:
            return market
        return msgspec.structs.replace(
            market, price=price.value, price_is_valid=price.is_valid, price_block=answer.block
        )


_missing: Fields = {"row": (False, True)}

_COMPARE: dict[str, Callable[[Comparison, truth_v1.Answer], Fields]] = {
    "extension": Comparison.pool,
    "pool_name": Comparison.pool,
    "pool_owner": Comparison.pool,
    "fee_config": Comparison.pool,
    "asset_config": Comparison.asset_config,
    "asset_config_unsafe": Comparison.asset_config,
    "rate_accumulator_unsafe": Comparison.rate,
    "utilization_unsafe": Comparison.rate,
    "interest_rate": Comparison.rate,
    "interest_rate_config": Comparison.rate_model,
    "price": Comparison.price,
    "v_token_for_collateral_asset": Comparison.v_token,
    "ltv_config": Comparison.pair,
    "liquidation_config": Comparison.pair,
    "debt_caps": Comparison.pair,
    "pairs": Comparison.pair,
    "position": Comparison.position,
    "position_unsafe": Comparison.position,
    "check_collateralization_unsafe": Comparison.collateralization,
    "balance_of": Comparison.balance,
    "total_supply": Comparison.supply,
    "total_assets": Comparison.supply,
    "convert_to_assets": Comparison.conversion,
}

VIEWS = tuple(_COMPARE)
