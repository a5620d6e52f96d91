"""What a digest hashes: the columns of each table, in order.

Another column or another order makes another digest.
"""

from __future__ import annotations

import msgspec

PLACE = "block_number, transaction_index, event_index"

TIMES = frozenset({"created_at", "changed_at", "last_updated", "timestamp"})
"""Columns that are hashed as whole seconds since 1970."""


class State(msgspec.Struct, frozen=True):
    """A table of current rows, without their valuations, and the history that leads to them."""

    history: str
    key: str
    columns: str
    renamed: tuple[str, str] | None = None
    """A column of the history, and its name in the current rows."""

    @property
    def current_columns(self) -> str:
        """The columns as the current rows name them."""
        return self.columns.replace(*self.renamed) if self.renamed else self.columns


STATE_TABLES: dict[str, State] = {
    "contracts": State(
        "contract_history",
        "address, kind",
        "address, kind, pool_address, asset_address, debt_address, name, symbol, owner, curator, "
        "oracle, fee_recipient, pausing_agent, class_hash, pool_id, extension, successor, "
        "variants, is_paused, is_current, created_block, created_at",
    ),
    "vesu_pools": State(
        "vesu_pool_history",
        "pool_id, id",
        "id, pool_id, pool_address, protocol, collateral_address, debt_address, max_ltv_raw, "
        "liquidation_factor_raw, debt_cap_raw, pair_collateral_shares, pair_nominal_debt, "
        "is_configured, created_at, changed_at",
    ),
    "vesu_assets": State(
        "vesu_asset_history",
        "pool_id, id",
        "id, pool_id, pool_address, protocol, asset_address, total_collateral_shares, "
        "total_nominal_debt, reserve, max_utilization, floor, scale, is_legacy, last_updated, "
        "last_rate_accumulator, last_full_utilization_rate, fee_rate, fee_shares, price, "
        "price_is_valid, price_block, v_token, min_target_utilization, max_target_utilization, "
        "target_utilization, min_full_utilization_rate, max_full_utilization_rate, "
        "zero_utilization_rate, rate_half_life, target_rate_percent, variant, unowned_shares, "
        "changed_at",
    ),
    "vesu_positions": State(
        "vesu_position_history",
        "pool_id, id",
        "id, pool_id, pool_address, protocol, user_id, kind, collateral_address, debt_address, "
        "v_token, collateral_shares, nominal_debt, vtoken_balance_raw, status, migrated_block, "
        "created_at, changed_at",
        ("changed_at", "last_updated"),
    ),
}

LOG_TABLES: dict[str, str] = {
    "events": (
        "block_number, transaction_index, event_index, block_hash, transaction_hash, from_address, "
        "keys, data, contract, name, args"
    ),
    "receipts": ("block_number, transaction_index, transaction_hash, actual_fee, fee_unit"),
    "observations": ("block_number, contract, view, calldata, block_hash, result, error"),
    "vesu_transactions": (
        "id, pool_id, position_id, user_id, transaction_hash, transaction_index, event_index, leg, "
        "type, asset, asset_address, amount, amount_raw, status, block_number, timestamp, "
        "gas_used, fee_unit, error_message, created_at"
    ),
    "vesu_liquidations": (
        "id, pool_id, position_id, user_id, liquidator_address, transaction_hash, "
        "transaction_index, event_index, collateral_asset, debt_asset, collateral_seized, "
        "collateral_seized_raw, debt_repaid, debt_repaid_raw, bad_debt, bad_debt_raw, "
        "liquidation_bonus, collateral_price, debt_price, block_number, timestamp, created_at"
    ),
    **{one.history: f"{one.columns}, {PLACE}" for one in STATE_TABLES.values()},
    "accrual_mismatches": (
        "id, pool_id, pool_address, protocol, asset_address, variant, field, predicted, told, "
        "explanation, block_number, transaction_index, event_index, timestamp"
    ),
}
"""Tables whose rows are only ever added, each with a block."""
