"""The append-only tables vesu_transactions and vesu_liquidations."""

from __future__ import annotations

from typing import Any

from indexer.log import facts
from indexer.projections import rows, tokens
from indexer.vesu import state

VTOKEN_DECIMALS = 18


def transaction(
    protocol: str,
    effect: state.TransactionEffect,
    origin: Origin,
    asset: Named,
) -> dict[str, Any]:
    """A row of vesu_transactions."""
    return {
        **_common("transaction", protocol, effect.event_key, effect.leg, effect.position, origin),
        "leg": effect.leg,
        "type": effect.type,
        "asset": asset.symbol,
        "asset_address": rows.padded(effect.asset),
        "amount": rows.units(abs(effect.amount), asset.decimals),
        "amount_raw": str(effect.amount),
        "status": "confirmed",
        "gas_used": origin.fee,
        "fee_unit": origin.fee_unit,
        "error_message": None,
    }


def liquidation(
    protocol: str,
    effect: state.LiquidationEffect,
    origin: Origin,
    collateral: Named,
    debt: Named,
) -> dict[str, Any]:
    """A row of vesu_liquidations."""
    row = _common("liquidation", protocol, effect.event_key, 0, effect.position, origin)
    row |= {
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
    """The transaction that an effect came from: hash, block time, fee and its unit as text."""

    __slots__ = ("fee", "fee_unit", "hash", "timestamp")

    def __init__(self, hash_: str, timestamp: int, fee: facts.Fee | None) -> None:
        self.hash = facts.padded(hash_)
        self.timestamp = rows.iso(timestamp)
        self.fee = rows.units(fee.amount, 18) if fee else None
        self.fee_unit = fee.unit if fee else None


class Named:
    """An asset as people read it: symbol (None: not known) and decimals."""

    __slots__ = ("decimals", "symbol")

    def __init__(self, symbol: str | None, decimals: int) -> None:
        self.symbol = symbol
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


def _common(
    suffix: str,
    protocol: str,
    event_key: state.EventKey,
    leg: int,
    position: state.PositionKey,
    origin: Origin,
) -> dict[str, Any]:
    return {
        "id": rows.effect_id(suffix, event_key, leg),
        "pool_id": rows.padded(position.pool.id),
        "position_id": rows.position_id(protocol, position),
        "user_id": rows.padded(position.user),
        "transaction_hash": origin.hash,
        "transaction_index": event_key.transaction_index,
        "event_index": event_key.event_index,
        "block_number": event_key.block_number,
        "timestamp": origin.timestamp,
        "created_at": origin.timestamp,
    }
