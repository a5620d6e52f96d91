"""V1's shutdown modes: how far a pool's shutdown has gone, and what may be done in it.

A pair violates the pool's rules while a price of it is invalid, an accumulator unsafe or its
loan-to-value above the shutdown limit. V1.0 and V1.1a keep since when each pair violates them; the
oldest of these times and two waiting periods give the mode, which so changes by time alone. V1.1b
keeps one mode for a pool: recovery from the first violation on, all else by its owner.

Anyone may make the contract look at a pair without an event, and V1.1a's owner sets a mode without
one, so that the fold asks the contract, too: with each setting, and while a pool is closing.
Source: `position_hooks.cairo` of each generation.
"""

from __future__ import annotations

import contextlib

import msgspec

from indexer.vesu import accrual, kinds, ledgers, market, maths, refusals, state

Mode = refusals.ShutdownMode

MOST_VIOLATIONS = 1_000
"""Pairs of a pool whose violation is kept, the oldest first: an owner may add more pairs."""

MOST_ASKED = 50
"""Pairs of a pool that are asked about at one block."""

VIEW = "shutdown_status"

_LOOKED_AFTER = (Mode.NONE, Mode.RECOVERY)
"""Beyond these the contract looks at violations no more."""

_LATER = 2
"""Felts of V1.1b's answer: mode, and whether the pair violates; earlier ones tell two more."""


# --- the mode at a time --------------------------------------------------------------------


def mode(world: state.World, pair: state.PairKey, now: int) -> Mode | None:
    """What `shutdown_status` answers for a pair at time `now`, as far as prices are known.

    None where no contract of ours answers: V2, a pool with a stranger's extension, and where
    the contract's arithmetic overflows.
    """
    pool = world.pools.get(pair.pool)
    if pool is None or not _is_running(world, pair):
        return None
    if pool.shutdown_mode is not Mode.NONE:
        return pool.shutdown_mode
    try:
        return _mode(world, pool, pair, now, _violates(world, pair, now))
    except maths.RevertedError:
        return None


def base_mode(world: state.World, pair: state.PairKey, now: int) -> Mode:
    """The mode that an action on a pair meets, if it leaves the pair without a violation."""
    pool = world.pools.get(pair.pool)
    if pool is None or not _is_running(world, pair):
        return Mode.NONE
    if pool.shutdown_mode is not Mode.NONE:
        return pool.shutdown_mode
    return _mode(world, pool, pair, now, is_violating=False)


def allowed(mode_: Mode, nominal_debt: int) -> tuple[str, ...]:
    """What may be done to a position while its pool is in a mode, before all other checks."""
    if mode_ is Mode.RECOVERY:
        return ("supply", "repay", "liquidate")
    if mode_ is Mode.SUBSCRIPTION:
        return ("repay",)
    if mode_ is Mode.REDEMPTION:
        return () if nominal_debt else ("withdraw",)
    return ("supply", "withdraw", "borrow", "repay", "liquidate")


def _is_running(world: state.World, pair: state.PairKey) -> bool:
    sides = [world.assets.get(state.AssetKey(pair.pool, asset)) for asset in pair[1:] if asset]
    return all(
        asset_state is not None and asset_state.variant is not maths.Variant.FROZEN
        for asset_state in sides
    )


def _is_later(world: state.World, pool: state.ContractState) -> bool:
    """Whether the pool's extension is of V1.1b, which the V1.1 extension was upgraded to."""
    if pool.kind is not kinds.Kind.POOL_V1_1:
        return False
    extension = world.contracts.get(pool.extension or 0)
    return extension is not None and extension.class_hash is not None


def _mode(
    world: state.World,
    pool: state.ContractState,
    pair: state.PairKey,
    now: int,
    is_violating: bool,
) -> Mode:
    if _is_later(world, pool):
        return Mode.RECOVERY if is_violating else Mode.NONE
    since = {violation[:2]: violation[2] for violation in pool.violations}
    oldest = min(since.values(), default=0)
    inferred = _inferred(pool, oldest, now)
    if inferred not in _LOOKED_AFTER:
        return inferred
    if is_violating:
        return _inferred(pool, oldest or now, now)
    since.pop(pair[1:], None)
    return _inferred(pool, min(since.values(), default=0), now)


def _inferred(pool: state.ContractState, since: int, now: int) -> Mode:
    """The mode that a violation since a time (0: none) has led to by now."""
    periods = (pool.recovery_period, pool.subscription_period)
    if not since or not any(periods):
        return Mode.NONE
    if now - since < periods[0]:
        return Mode.RECOVERY
    return Mode.SUBSCRIPTION if now - since < sum(periods) else Mode.REDEMPTION


def _violates(world: state.World, pair: state.PairKey, now: int) -> bool:
    """Whether a pair breaks a rule at a time; a price that nobody told counts as valid."""
    collateral, debt = (_side(world, pair.pool, asset, now) for asset in pair[1:])
    pair_state = world.pairs.get(pair) or state.PairState()
    return market.is_violating(
        market.Market(collateral, debt, pair_state, shutdown_ltv=pair_state.shutdown_ltv)
    )


def _side(world: state.World, pool: state.PoolKey, asset: int, now: int) -> accrual.AssetState:
    if not asset:
        return market.NO_ASSET
    asset_state = accrual.accrue(world.assets[state.AssetKey(pool, asset)], now)
    if asset_state.price_is_valid is None:
        return msgspec.structs.replace(asset_state, price_is_valid=True)
    return asset_state


# --- folding -------------------------------------------------------------------------------


def touched(ledger: ledgers.Ledger, origin: ledgers.Origin, pair: state.PairKey) -> None:
    """The contract looked at a pair after an action on it: a violation begins or ends."""
    pool = ledger.world.pools.get(pair.pool)
    if pool is None or not _is_running(ledger.world, pair):
        return
    is_violating = False
    with contextlib.suppress(maths.RevertedError):
        is_violating = _violates(ledger.world, pair, origin.timestamp)
    is_closing = pool.shutdown_mode is not Mode.NONE
    if is_violating or is_closing or pool.violations:
        watch(ledger, origin, pair.pool, pair)
    if is_closing:
        return
    if _is_later(ledger.world, pool):
        if is_violating:
            ledger.pool(origin, pair.pool, shutdown_mode=Mode.RECOVERY)
        return
    since = {violation[:2]: violation[2] for violation in pool.violations}
    oldest = min(since.values(), default=0)
    if _inferred(pool, oldest, origin.timestamp) not in _LOOKED_AFTER:
        return
    known = since.get(pair[1:], origin.timestamp)
    _keep(ledger, origin, pair, known if is_violating else 0)


def _keep(ledger: ledgers.Ledger, origin: ledgers.Origin, pair: state.PairKey, since: int) -> None:
    """Since when a pair violates the rules; 0: no more."""
    pool = ledger.world.pools[pair.pool]
    kept = {violation[:2]: violation[2] for violation in pool.violations}
    kept[pair[1:]] = since
    violations = sorted(((*sides, time) for sides, time in kept.items() if time), key=_by_time)
    changed = tuple(violations[:MOST_VIOLATIONS])
    if changed != pool.violations:
        ledger.pool(origin, pair.pool, violations=changed)


def _by_time(violation: state.Violation) -> tuple[int, int, int]:
    return violation[2], violation[0], violation[1]


def watch(
    ledger: ledgers.Ledger, origin: ledgers.Origin, pool: state.PoolKey, *pairs: state.PairKey
) -> None:
    """Have the contract asked about these pairs (none named: all) at the end of the block.

    Nothing is asked of a pool that the block creates: it has no violation yet.
    """
    contract = ledger.world.pools.get(pool)
    if contract is None or contract.created_block == origin.event_key.block_number:
        return
    configured = sorted(
        key
        for key, pair_state in ledger.world.pairs.items()
        if pair_state.is_configured and key.pool == pool
    )
    watched_pairs = [pair for pair in configured if _tells_of(pair, pairs)] if pairs else configured
    _, known = ledger.closing.get(pool, (origin, ()))
    named = tuple(dict.fromkeys((*known, *watched_pairs)))[:MOST_ASKED]
    ledger.closing[pool] = (origin, named)


def _tells_of(pair: state.PairKey, touched_: tuple[state.PairKey, ...]) -> bool:
    """Whether a pair was touched, or its collateral in a supply without a debt asset."""
    return pair in touched_ or state.PairKey(pair.pool, pair.collateral, 0) in touched_


def ask(
    ledger: ledgers.Ledger,
    pool: state.PoolKey,
    origin: ledgers.Origin,
    pairs: tuple[state.PairKey, ...],
) -> None:
    """Take up what the extension says of pairs at the end of the block."""
    extension = ledger.world.pools[pool].extension
    if extension is None or ledger.registry.get(extension) is None:
        return
    calls = ((pair, ledger.ask(origin, extension, VIEW, pool.id, *pair[1:])) for pair in pairs)
    reported = {pair: felts for pair, felts in calls if felts and _is_status(felts)}
    for pair, felts in reported.items():
        if len(felts) > _LATER and felts[0] <= Mode.RECOVERY:
            _keep(ledger, origin, pair, felts[2])
    # A pair that violates the rules tells of itself; all others tell the pool's mode.
    modes = {
        pair: Mode(felts[0])
        for pair, felts in reported.items()
        if not felts[1] or felts[0] > Mode.RECOVERY
    }
    if modes:
        _correct(ledger, origin, pool, modes)


def _is_status(felts: tuple[int, ...]) -> bool:
    return len(felts) in (_LATER, 4) and felts[0] <= max(Mode) and felts[1] <= 1


def _correct(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    pool: state.PoolKey,
    reported: dict[state.PairKey, Mode],
) -> None:
    """Keep the told mode where it is not what the kept times lead to."""
    contract, now = ledger.world.pools[pool], origin.timestamp
    furthest = Mode(max(reported.values()))
    violations, kept = contract.violations, furthest
    if furthest is Mode.NONE:
        # A pair tells this only where no other one's time counts.
        violations = tuple(
            violation for violation in violations if state.PairKey(pool, *violation[:2]) in reported
        )
    elif not _is_later(ledger.world, contract):
        predicted = {
            _mode(ledger.world, contract, pair, now, is_violating=False) for pair in reported
        }
        kept = Mode.NONE if max(predicted) is furthest else furthest
    if (kept, violations) != (contract.shutdown_mode, contract.violations):
        ledger.pool(origin, pool, shutdown_mode=kept, violations=violations)
