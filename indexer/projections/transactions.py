"""The append-only tables vesu_transactions and vesu_liquidations."""

from __future__ import annotations

from typing import Any

from indexer.log import facts
from indexer.projections import rows, tokens
from indexer.store import copying
from indexer.vesu import state

VTOKEN_DECIMALS = 18


TRANSACTION = (
    "id",
    "pool_id",
    "position_id",
    "user_id",
    "transaction_hash",
    "transaction_index",
    "event_index",
    "block_number",
    "timestamp",
    "created_at",
    "leg",
    "type",
    "asset",
    "asset_address",
    "amount",
    "amount_raw",
    "status",
    "gas_used",
    "fee_unit",
)
"""The columns of a row of vesu_transactions that are written: a confirmed one has no error."""


def transaction(
    protocol: str, effect: state.TransactionEffect, origin: Origin, asset: Named
) -> tuple[Any, ...]:
    """A row of vesu_transactions, its texts as COPY takes them."""
    position, (block_number, transaction_index, event_index) = effect.position, effect.event_key
    return (
        rows.effect_id("transaction", effect.event_key, effect.leg),
        rows.padded(position.pool.id),
        rows.position_id(protocol, position),
        rows.padded(position.user),
        origin.hash,
        transaction_index,
        event_index,
        block_number,
        origin.timestamp,
        origin.timestamp,
        effect.leg,
        effect.type,
        asset.field,
        rows.padded(effect.asset),
        rows.units(abs(effect.amount), asset.decimals),
        effect.amount,
        "confirmed",
        origin.fee_field,
        origin.fee_unit_field,
    )


def liquidation(
    protocol: str,
    effect: state.LiquidationEffect,
    origin: Origin,
    collateral: Named,
    debt: Named,
) -> dict[str, Any]:
    """A row of vesu_liquidations."""
    row = {
        "id": rows.effect_id("liquidation", effect.event_key, 0),
        "pool_id": rows.padded(effect.position.pool.id),
        "position_id": rows.position_id(protocol, effect.position),
        "user_id": rows.padded(effect.position.user),
        "transaction_hash": origin.hash,
        **rows.event_place(effect.event_key),
        "timestamp": origin.timestamp,
        "created_at": origin.timestamp,
        "liquidator_address": rows.padded(effect.liquidator),
        "collateral_asset": collateral.symbol,
        "debt_asset": debt.symbol,
        "liquidation_bonus": rows.units(effect.bonus, collateral.decimals),
        "collateral_price": str(effect.collateral_price),
        "debt_price": str(effect.debt_price),
    }
    amounts = (
        ("collateral_seized", effect.collateral_seized, collateral.decimals),
        ("debt_repaid", effect.debt_repaid, debt.decimals),
        ("bad_debt", effect.bad_debt, debt.decimals),
    )
    for column, raw, decimals in amounts:
        row[column] = rows.units(raw, decimals)
        row[column + "_raw"] = str(raw)
    return row


class Origin:
    """The transaction that an effect came from: hash, block time, fee and its unit for COPY."""

    __slots__ = ("fee_field", "fee_unit_field", "hash", "timestamp")

    def __init__(self, hash_: str, timestamp: int, fee: facts.Fee | None) -> None:
        self.hash = facts.padded(hash_)
        self.timestamp = rows.iso(timestamp)
        self.fee_field = copying.field(rows.units(fee.amount, 18) if fee else None)
        self.fee_unit_field = copying.field(fee.unit if fee else None)


class Named:
    """An asset as people read it: symbol (None: not known), the same as COPY's text, decimals."""

    __slots__ = ("decimals", "field", "symbol")

    def __init__(self, symbol: str | None, decimals: int) -> None:
        self.symbol = symbol
        self.field = copying.field(symbol)
        self.decimals = decimals


def named(
    world: state.World, tokens_: dict[int, tokens.Token], pool: state.PoolKey, asset: int
) -> Named:
    """How people read an asset of a pool, or one of its vTokens."""
    asset_state = world.assets.get(state.AssetKey(pool, asset))
    if asset_state is not None:
        return Named(tokens_.get(asset, tokens.UNKNOWN).symbol, rows.decimals_of(asset_state.scale))
    contract = world.contracts.get(asset)
    return Named(contract.symbol if contract else None, VTOKEN_DECIMALS)
