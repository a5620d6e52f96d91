"""Accrual proves itself: what the chain tells of an accrual against what the fold predicted.

Each UpdateContext carries the accumulator and the full-utilisation rate after an accrual, each
AccrueFees the shares that it minted. Which maths a V1.1 class runs no public source says for
sure. A pool is computed with a variant that fits what it told itself. Where it told nothing that
tells them apart, the owners of the others decide, each with one vote however many pools they have:
those of pools taken over from V1.0, else all. Votes are part of the singleton's state, so a replay
repeats them.
"""

from __future__ import annotations

import bisect
import collections
import contextlib
from collections.abc import Mapping

from indexer.vesu import accrual, kinds, ledgers, maths, state

_V = maths.Variant

AT_DEPLOYMENT = {
    kinds.Kind.SINGLETON_V1_0: (_V.V1_0,),
    kinds.Kind.SINGLETON_V1_1: (_V.V1_0, _V.V1_1B, _V.V1_1C),
}
"""Variants to try, the likeliest first: V1.1 was deployed with V1.0's maths."""

MOST_VOTES = 1_000
"""Pools of a singleton whose votes are kept, the first ones: anyone may create more."""

AFTER_UPGRADE = (_V.V1_1B, _V.V1_1C, _V.V1_0)
"""Variants to try after an upgrade of V1.1 to a class that is not known."""


Votes = tuple[tuple[int, tuple[maths.Variant, ...]], ...]
"""The variants that fit what a pool told, by the pool's id; in the order of ids."""


def variants(ledger: ledgers.Ledger, pool: state.PoolKey) -> tuple[maths.Variant, ...]:
    """What the class of a pool's singleton may compute with, the likeliest for this pool first."""
    contract = ledger.world.contracts.get(pool.address)
    if contract is None or contract.variants is None:
        known = ledger.registry.get(pool.address)
        return AT_DEPLOYMENT[known.kind] if known else (_V.V1_0,)
    return _likeliest(contract.variants, contract.variant_votes, pool.id)


def _likeliest(
    ranked: tuple[maths.Variant, ...], votes: Votes, pool_id: int
) -> tuple[maths.Variant, ...]:
    index = bisect.bisect_left(votes, (pool_id,))
    if index == len(votes) or votes[index][0] != pool_id:
        return ranked
    return tuple(sorted(ranked, key=lambda variant: variant not in votes[index][1]))


def upgraded(ledger: ledgers.Ledger, origin: ledgers.Origin) -> None:
    """A singleton runs another class: every variant may be the right one again."""
    _choose(ledger, origin, origin.emitter, AFTER_UPGRADE, ())


def vote(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    pool: state.PoolKey,
    fitting: tuple[maths.Variant, ...],
) -> None:
    """Take up which variants fit what the chain told of a pool, and compute with the likeliest.

    A pool's vote are the variants that fitted all that it told since it last contradicted itself.
    It decides for that pool, whose owner can change rate models without an event so that another
    variant fits, and for no other pool that told something. A variant that lost can win again.
    """
    possible = variants(ledger, pool)
    contract = ledger.world.contracts.get(pool.address)
    votes = dict(contract.variant_votes) if contract else {}
    before = votes.get(pool.id, possible)
    agreed = tuple(variant for variant in before if variant in fitting) or fitting
    if set(agreed) == set(before) or (pool.id not in votes and len(votes) >= MOST_VOTES):
        return
    votes[pool.id] = agreed
    scores = _scores(ledger, pool.address, votes)
    base = _base(ledger, pool.address, contract)
    ranked = tuple(sorted(base, key=lambda variant: (-scores[variant], base.index(variant))))
    _choose(ledger, origin, pool.address, ranked, tuple(sorted(votes.items())))


def _scores(
    ledger: ledgers.Ledger, singleton: int, votes: Mapping[int, tuple[maths.Variant, ...]]
) -> collections.Counter[maths.Variant]:
    """How many owners of pools each variant has: those that fit most pools of an owner.

    Pools that were taken over from V1.0 decide, where they told something: anyone may own the
    others under any number of addresses. Pools whose owner nothing tells count as one owner's.
    """
    taken_over = {pool: votes[pool] for pool in votes if _is_taken_over(ledger, singleton, pool)}
    by_owner: dict[int | None, collections.Counter[maths.Variant]] = {}
    for pool_id, fitting in (taken_over or votes).items():
        pool = ledger.world.pools.get(state.PoolKey(singleton, pool_id))
        owner = None if pool is None else pool.owner
        by_owner.setdefault(owner, collections.Counter()).update(fitting)
    return collections.Counter(
        variant
        for counted in by_owner.values()
        for variant, pools in counted.items()
        if pools == max(counted.values())
    )


def _is_taken_over(ledger: ledgers.Ledger, singleton: int, pool_id: int) -> bool:
    """Whether V1.1 took the pool over from V1.0, as Vesu alone can: new pools have other ids."""
    before = ledger.registry.singleton(kinds.Kind.SINGLETON_V1_0)
    pool = None if before is None else ledger.world.pools.get(state.PoolKey(before, pool_id))
    return pool is not None and pool.successor == singleton


def _base(
    ledger: ledgers.Ledger, singleton: int, contract: state.ContractState | None
) -> tuple[maths.Variant, ...]:
    if contract is not None and contract.class_hash is not None:
        return AFTER_UPGRADE
    known = ledger.registry.get(singleton)
    return AT_DEPLOYMENT[known.kind] if known else (_V.V1_0,)


def _choose(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    singleton: int,
    ranked: tuple[maths.Variant, ...],
    votes: Votes,
) -> None:
    """Compute each of the singleton's markets with the likeliest of these variants."""
    ledger.contract(origin, singleton, variants=ranked, variant_votes=votes)
    for key, asset in list(ledger.world.assets.items()):
        if key.pool.address != singleton or ledger.is_quarantined(key.pool):
            continue
        likeliest = _likeliest(ranked, votes, key.pool.id)[0]
        if asset.variant not in (likeliest, _V.FROZEN):
            ledger.asset(origin, key, ledgers.replace(asset, variant=likeliest))


def predictions(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    key: state.AssetKey,
    asset_state: accrual.AssetState,
) -> dict[maths.Variant, accrual.AssetState]:
    """A market accrued to now by each variant that can; notes the shares that each would mint."""
    found = {}
    for variant in variants(ledger, key.pool):
        with contextlib.suppress(maths.RevertedError):
            found[variant] = accrual.accrue(
                ledgers.replace(asset_state, variant=variant), origin.timestamp
            )
    ledger.transient.expected[key] = {
        variant: later.fee_shares - asset_state.fee_shares for variant, later in found.items()
    }
    return found


def check_context(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    key: state.AssetKey,
    before: accrual.AssetState,
    reported: accrual.AssetState,
) -> accrual.AssetState:
    """Compare an accrual with what UpdateContext tells; returns the state to go on with.

    Where no variant fits, the rate model may have been changed, which V1 tells in no event:
    then the extension is asked for it.
    """
    if before.last_updated == 0 or before.model == accrual.NO_MODEL:
        return reported
    predicted = predictions(ledger, origin, key, before)
    ledger.journal.checks += 1
    fitting = tuple(v for v, later in predicted.items() if _rates(later) == _rates(reported))
    if fitting:
        vote(ledger, origin, key.pool, fitting)
        asset_state = accrual.confirmed(reported, before, origin.event_key.block_number)
        return ledgers.replace(asset_state, variant=variants(ledger, key.pool)[0])
    model = ask_model(ledger, origin, key)
    first = next(iter(predicted.values()), before)
    if model is not None and model != before.model:
        _note(ledger, origin, key, first, reported, "rate model changed")
        return accrual.with_model(reported, model, origin.event_key.block_number)
    _note(ledger, origin, key, first, reported, "")
    return ledgers.replace(reported, rate_model_block=None)


def check_fees(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.AssetKey, reported: int
) -> None:
    """Compare the shares that an accrual minted with what AccrueFees tells."""
    expected = ledger.transient.expected.pop(key, None)
    if expected is None:
        return
    ledger.journal.checks += 1
    possible = variants(ledger, key.pool)
    fitting = tuple(v for v in possible if expected.get(v) == reported)
    if not fitting:
        first = possible[0]
        ledger.journal.mismatches.append(
            state.Mismatch(
                origin.event_key, key, first, "fee_shares", expected.get(first, 0), reported, ""
            )
        )
    else:
        vote(ledger, origin, key.pool, fitting)


def resynchronised(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.AssetKey, accrued: accrual.AssetState
) -> accrual.AssetState:
    """An accrued market with the contract's own rates, asked for where no event carries them.

    Only what is the same for all of a block is taken: totals may change again within it.
    """
    if not ledger.may_ask(key.pool):
        return accrued
    felts = ledger.ask(origin, key.pool.address, "asset_config_unsafe", key.pool.id, key.asset)
    reported = accrual.config_of(felts or ())
    if reported is None:
        return accrued
    rates = ledgers.replace(
        accrued,
        last_rate_accumulator=reported.last_rate_accumulator,
        last_full_utilization_rate=reported.last_full_utilization_rate,
    )
    if _rates(rates) != _rates(accrued):
        _note(ledger, origin, key, accrued, rates, "read by view")
    return rates


def ask_model(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.AssetKey
) -> accrual.RateModel | None:
    """The rate model that a V1 extension has for an asset; None where it gives none."""
    pool = ledger.world.pools.get(key.pool)
    if pool is None or pool.extension is None or ledger.registry.get(pool.extension) is None:
        return None
    felts = ledger.ask(origin, pool.extension, "interest_rate_config", key.pool.id, key.asset)
    return accrual.model_of(felts or ())


def _rates(asset: accrual.AssetState) -> tuple[int, int]:
    return asset.last_rate_accumulator, asset.last_full_utilization_rate


def _note(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    key: state.AssetKey,
    predicted: accrual.AssetState,
    reported: accrual.AssetState,
    explanation: str,
) -> None:
    for field in ("last_rate_accumulator", "last_full_utilization_rate"):
        predicted_value, reported_value = getattr(predicted, field), getattr(reported, field)
        if predicted_value != reported_value:
            ledger.journal.mismatches.append(
                state.Mismatch(
                    origin.event_key,
                    key,
                    predicted.variant,
                    field,
                    predicted_value,
                    reported_value,
                    explanation,
                )
            )
