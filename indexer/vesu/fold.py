"""The fold of Vesu V2: one event after another, from the old state to the new.

Pure: reads and replaces values in a `World`, notes every change in a `Journal`. What each
event means for the state: docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from indexer import errors
from indexer.vesu import accrual, discovery, events, kinds, state, text

replace = msgspec.structs.replace


class Fold:
    """Folds located events into `world`; `journal` collects what changed.

    One Fold serves one batch. `registry` must already know every contract of the batch.
    """

    def __init__(self, world: state.World, registry: discovery.Registry) -> None:
        self.world = world
        self.registry = registry
        self.journal = state.Journal()

    def apply(
        self, at: state.EventKey, timestamp: int, emitter: int, event: events.VesuEvent
    ) -> None:
        """Fold one decoded event that `emitter` emitted at block time `timestamp`."""
        known = self.registry.get(emitter)
        if known is None:
            raise errors.ProjectionError(f"event {tuple(at)} is of no known contract {emitter:#x}")
        handler = _HANDLERS.get((known.kind, type(event)))
        if handler is not None:
            handler(self, Context(at, timestamp, emitter, known), event)

    # --- reading and replacing, each change journaled -----------------------------------

    def contract(self, here: Context, address: int, **changes: Any) -> None:
        """Change settings of a contract; the first change creates its row."""
        current = self.world.contracts.get(address)
        if current is None:
            known = self.registry.get(address)
            if known is None:
                return
            current = state.ContractState(
                known.kind,
                known.pool,
                known.asset,
                created_block=here.at.block_number,
                created_at=here.timestamp,
            )
        changed = replace(current, last_event_block=here.at.block_number, **changes)
        self.world.contracts[address] = changed
        self.journal.contracts.append((here.at, address, changed))

    def asset(self, here: Context, key: state.AssetKey, changed: accrual.AssetState) -> None:
        """Replace an asset's state."""
        changed = replace(changed, block_number=here.at.block_number, updated_at=here.timestamp)
        self.world.assets[key] = changed
        self.journal.assets.append((here.at, key, changed))

    def asset_state(self, key: state.AssetKey) -> accrual.AssetState:
        """An asset's state, blank before its first event."""
        return self.world.assets.get(key, accrual.AssetState())

    def set_v_token(self, here: Context, pool: int, asset: int, v_token: int) -> None:
        """Make `v_token` the current vToken of a pool's asset."""
        key = state.AssetKey(pool, asset)
        self.asset(here, key, replace(self.asset_state(key), v_token=v_token))

    def is_pool(self, address: int) -> bool:
        """Whether a factory of ours created `address` as a pool."""
        known = self.registry.get(address)
        return known is not None and known.kind is kinds.Kind.POOL_V2

    def pair(self, here: Context, collateral: int, debt: int, **changes: Any) -> None:
        """Change a pair's configuration or totals."""
        key = state.PairKey(here.emitter, collateral, debt)
        current = self.world.pairs.get(key)
        if current is None:
            current = state.PairState(created_at=here.timestamp)
        changed = replace(
            current, block_number=here.at.block_number, updated_at=here.timestamp, **changes
        )
        self.world.pairs[key] = changed
        self.journal.pairs.append((here.at, key, changed))

    def position(self, key: state.PositionKey) -> state.PositionState:
        """A position's state; blank, of the right kind, before its first event."""
        found = self.world.positions.get(key)
        if found is not None:
            return found
        if key.v_token:
            return state.PositionState("earn")
        holder = self.registry.get(key.user)
        is_system = holder is not None and holder.kind is kinds.Kind.VTOKEN_V2
        return state.PositionState("system" if is_system else "borrow")

    def put_position(
        self, here: Context, key: state.PositionKey, changed: state.PositionState
    ) -> None:
        """Replace a position's state."""
        changed = replace(
            changed,
            created_at=changed.created_at or here.timestamp,
            last_updated=here.timestamp,
            last_event_block=here.at.block_number,
        )
        self.world.positions[key] = changed
        self.journal.positions.append((here.at, key, changed))

    def transaction(
        self, here: Context, leg: int, key: state.PositionKey, type_: str, asset: int, amount: int
    ) -> None:
        """Note one effect on a position; a zero amount is no effect."""
        if amount:
            self.journal.transactions.append(
                state.TransactionEffect(here.at, leg, key, type_, asset, amount)
            )


class Context(msgspec.Struct, frozen=True, gc=False):
    """Where the event in hand stands and who emitted it."""

    at: state.EventKey
    timestamp: int
    emitter: int
    known: discovery.Known


Handler = Callable[[Fold, Context, Any], None]
_HANDLERS: dict[tuple[kinds.Kind, type], Handler] = {}


def _on(kind: kinds.Kind, *types: type) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for type_ in types:
            _HANDLERS[kind, type_] = handler
        return handler

    return register


_POOL = kinds.Kind.POOL_V2
_FACTORY = kinds.Kind.POOL_FACTORY_V2
_VTOKEN = kinds.Kind.VTOKEN_V2


# --- the pool: assets and pairs --------------------------------------------------------


@_on(_POOL, events.UpdateContext)
def _update_context(fold: Fold, here: Context, event: events.UpdateContext) -> None:
    sides = (
        (event.collateral_asset, event.collateral_asset_config, event.collateral_asset_price),
        (event.debt_asset, event.debt_asset_config, event.debt_asset_price),
    )
    for asset, config, price in sides:
        key = state.AssetKey(here.emitter, asset)
        told = accrual.with_config(fold.asset_state(key), config)
        fold.asset(
            here,
            key,
            replace(
                told,
                price=price.value,
                price_is_valid=price.is_valid,
                price_block=here.at.block_number,
            ),
        )


@_on(_POOL, events.SetAssetConfig)
def _set_asset_config(fold: Fold, here: Context, event: events.SetAssetConfig) -> None:
    key = state.AssetKey(here.emitter, event.asset)
    fold.asset(here, key, accrual.with_config(fold.asset_state(key), event.asset_config))


@_on(_POOL, events.SetInterestRateConfig)
def _set_interest_rate_config(
    fold: Fold, here: Context, event: events.SetInterestRateConfig
) -> None:
    # The contract accrues with the old model before it stores the new one.
    key = state.AssetKey(here.emitter, event.asset)
    accrued = accrual.accrue(fold.asset_state(key), here.timestamp)
    fold.asset(here, key, replace(accrued, model=event.interest_rate_config))


@_on(_POOL, events.Donate)
def _donate(fold: Fold, here: Context, event: events.Donate) -> None:
    key = state.AssetKey(here.emitter, event.asset)
    accrued = accrual.accrue(fold.asset_state(key), here.timestamp)
    fold.asset(here, key, replace(accrued, reserve=accrued.reserve + event.amount))


@_on(_POOL, events.ClaimFees)
def _claim_fees(fold: Fold, here: Context, event: events.ClaimFees) -> None:
    # The paid amount is taken as told: its rounding changed between two classes of V2.
    key = state.AssetKey(here.emitter, event.asset)
    accrued = accrual.accrue(fold.asset_state(key), here.timestamp)
    fold.asset(
        here,
        key,
        replace(
            accrued,
            fee_shares=accrued.fee_shares - event.fee_shares,
            total_collateral_shares=accrued.total_collateral_shares - event.fee_shares,
            reserve=accrued.reserve - event.fee_amount,
        ),
    )


@_on(_POOL, events.SetPairConfig)
def _set_pair_config(fold: Fold, here: Context, event: events.SetPairConfig) -> None:
    config = event.pair_config
    fold.pair(
        here,
        event.collateral_asset,
        event.debt_asset,
        max_ltv=config.max_ltv,
        liquidation_factor=config.liquidation_factor,
        debt_cap=config.debt_cap,
        is_configured=True,
    )


# --- the pool: positions ---------------------------------------------------------------


def _move(
    fold: Fold,
    here: Context,
    event: events.ModifyPosition | events.LiquidatePosition,
    emptied: str,
) -> state.PositionKey:
    """Apply the deltas of shares and nominal debt to the position and to its pair."""
    collateral, debt = event.collateral_asset, event.debt_asset
    key = state.PositionKey(here.emitter, collateral, debt, 0, event.user)
    before = fold.position(key)
    shares = before.collateral_shares + event.collateral_shares_delta
    nominal = before.nominal_debt + event.nominal_debt_delta
    if shares < 0 or nominal < 0:
        raise errors.ProjectionError(
            f"event {tuple(here.at)} takes more from a position of {event.user:#x} than it "
            f"holds: {shares} shares, {nominal} nominal debt would remain; the log is incomplete"
        )
    fold.put_position(
        here,
        key,
        replace(
            before,
            collateral_shares=shares,
            nominal_debt=nominal,
            status="active" if shares or nominal else emptied,
        ),
    )
    _move_pair(fold, here, event)
    return key


def _move_pair(
    fold: Fold, here: Context, event: events.ModifyPosition | events.LiquidatePosition
) -> None:
    collateral, debt = event.collateral_asset, event.debt_asset
    current = fold.world.pairs.get(state.PairKey(here.emitter, collateral, debt))
    pair = current or state.PairState()
    fold.pair(
        here,
        collateral,
        debt,
        total_collateral_shares=pair.total_collateral_shares + event.collateral_shares_delta,
        total_nominal_debt=pair.total_nominal_debt + event.nominal_debt_delta,
    )


@_on(_POOL, events.ModifyPosition)
def _modify_position(fold: Fold, here: Context, event: events.ModifyPosition) -> None:
    key = _move(fold, here, event, emptied="closed")
    if fold.world.positions[key].kind == "system":
        _learn_debt_asset(fold, here, event)
        return
    supplied, borrowed = event.collateral_delta, event.debt_delta
    fold.transaction(
        here, 0, key, "supply" if supplied > 0 else "withdraw", event.collateral_asset, supplied
    )
    fold.transaction(
        here, 1, key, "borrow" if borrowed > 0 else "repay", event.debt_asset, borrowed
    )


def _learn_debt_asset(fold: Fold, here: Context, event: events.ModifyPosition) -> None:
    """A vToken's debt asset is told by no event but the positions that it takes."""
    current = fold.world.contracts.get(event.user)
    if current is not None and current.debt_asset is None:
        fold.contract(here, event.user, debt_asset=event.debt_asset)


@_on(_POOL, events.LiquidatePosition)
def _liquidate_position(fold: Fold, here: Context, event: events.LiquidatePosition) -> None:
    key = _move(fold, here, event, emptied="liquidated")
    fold.transaction(here, 0, key, "liquidation", event.collateral_asset, event.collateral_delta)
    fold.transaction(here, 1, key, "liquidation", event.debt_asset, event.debt_delta)
    seized = -event.collateral_delta
    repaid = -event.debt_delta - event.bad_debt
    collateral = fold.asset_state(state.AssetKey(here.emitter, event.collateral_asset))
    debt = fold.asset_state(state.AssetKey(here.emitter, event.debt_asset))
    fold.journal.liquidations.append(
        state.LiquidationEffect(
            here.at,
            key,
            event.liquidator,
            seized,
            repaid,
            event.bad_debt,
            seized - _worth(repaid, debt, collateral),
            collateral.price or 0,
            debt.price or 0,
        )
    )


def _worth(amount: int, of: accrual.AssetState, in_: accrual.AssetState) -> int:
    """Raw units of `in_` that `amount` raw units of `of` buy at the last prices, rounded down."""
    if not (of.scale and in_.price):
        return 0
    return amount * (of.price or 0) * in_.scale // (of.scale * in_.price)


# --- the pool: settings ----------------------------------------------------------------


def _setting(kind: kinds.Kind, type_: type, column: str, field: str) -> None:
    def handler(fold: Fold, here: Context, event: Any) -> None:
        fold.contract(here, here.emitter, **{column: getattr(event, field)})

    _HANDLERS[kind, type_] = handler


_setting(_POOL, events.SetOracle, "oracle", "oracle")
_setting(_POOL, events.SetFeeRecipient, "fee_recipient", "fee_recipient")
_setting(_POOL, events.SetPausingAgent, "pausing_agent", "agent")
_setting(_POOL, events.SetCurator, "curator", "curator")
for _kind in (_POOL, _FACTORY, kinds.Kind.ORACLE_V2):
    _setting(_kind, events.OwnershipTransferred, "owner", "new_owner")
    _setting(_kind, events.ContractUpgraded, "class_hash", "new_implementation")
_setting(kinds.Kind.ORACLE_V2, events.SetManager, "curator", "manager")


@_on(_POOL, events.ContractPaused, events.ContractUnpaused)
def _pause(fold: Fold, here: Context, event: Any) -> None:
    fold.contract(here, here.emitter, is_paused=isinstance(event, events.ContractPaused))


# --- the factory -----------------------------------------------------------------------


@_on(_FACTORY, events.CreatePool)
def _create_pool(fold: Fold, here: Context, event: events.CreatePool) -> None:
    # `curator` is only nominated here: the factory is the curator until SetCurator.
    fold.contract(
        here,
        event.pool,
        name=text.clean(text.short_string(event.name)),
        owner=event.owner,
        curator=here.emitter,
        oracle=event.oracle,
    )


@_on(_FACTORY, events.CreateOracle)
def _create_oracle(fold: Fold, here: Context, event: events.CreateOracle) -> None:
    fold.contract(here, event.oracle, curator=event.manager)


@_on(_FACTORY, events.CreateVToken)
def _create_v_token(fold: Fold, here: Context, event: events.CreateVToken) -> None:
    if not fold.is_pool(event.pool):
        return
    fold.contract(
        here,
        event.v_token,
        name=text.clean(event.v_token_name),
        symbol=text.clean(event.v_token_symbol),
    )
    fold.set_v_token(here, event.pool, event.asset, event.v_token)


@_on(_FACTORY, events.UpdateVToken)
def _update_v_token(fold: Fold, here: Context, event: events.UpdateVToken) -> None:
    if not fold.is_pool(event.pool):
        return
    fold.contract(here, event.prev_v_token, is_current=False)
    fold.contract(here, event.new_v_token, is_current=True)
    fold.set_v_token(here, event.pool, event.asset, event.new_v_token)


# --- the vToken ------------------------------------------------------------------------


def _earn_key(here: Context, holder: int) -> state.PositionKey:
    known = here.known
    assert known.pool is not None and known.asset is not None, "a vToken has a pool and an asset"
    return state.PositionKey(known.pool, known.asset, 0, here.emitter, holder)


@_on(_VTOKEN, events.Transfer)
def _transfer(fold: Fold, here: Context, event: events.Transfer) -> None:
    # Mint and burn have 0x0 on one side; their people-facing rows are Deposit and Withdraw.
    between_holders = event.sender != 0 and event.recipient != 0
    sides = ((0, event.sender, -event.value), (1, event.recipient, event.value))
    for leg, holder, delta in sides:
        if holder == 0 or event.value == 0:
            continue
        key = _earn_key(here, holder)
        _change_balance(fold, here, key, delta)
        if between_holders:
            fold.transaction(here, leg, key, "transfer", here.emitter, delta)


def _change_balance(fold: Fold, here: Context, key: state.PositionKey, delta: int) -> None:
    before = fold.position(key)
    balance = before.vtoken_balance + delta
    if balance < 0:
        raise errors.ProjectionError(
            f"event {tuple(here.at)} takes more vTokens from {key.user:#x} than it holds: "
            f"{balance} would remain; the log is incomplete"
        )
    status = "active" if balance else "closed"
    fold.put_position(here, key, replace(before, vtoken_balance=balance, status=status))


@_on(_VTOKEN, events.Deposit)
def _deposit(fold: Fold, here: Context, event: events.Deposit) -> None:
    key = _earn_key(here, event.owner)
    fold.transaction(here, 0, key, "supply", key.collateral, event.assets)


@_on(_VTOKEN, events.Withdraw)
def _withdraw(fold: Fold, here: Context, event: events.Withdraw) -> None:
    key = _earn_key(here, event.owner)
    fold.transaction(here, 0, key, "withdraw", key.collateral, -event.assets)


def touched_positions(
    emitter: int, known: discovery.Known, event: events.VesuEvent
) -> tuple[state.PositionKey, ...]:
    """The positions whose state the fold reads for this event."""
    match event:
        case events.ModifyPosition() | events.LiquidatePosition():
            return (
                state.PositionKey(emitter, event.collateral_asset, event.debt_asset, 0, event.user),
            )
        case events.Transfer() if known.kind is _VTOKEN:
            return tuple(
                state.PositionKey(known.pool or 0, known.asset or 0, 0, emitter, holder)
                for holder in (event.sender, event.recipient)
                if holder
            )
    return ()
