"""Accrual proves itself: what the chain tells of an accrual against what the fold predicted.

Each UpdateContext carries the accumulator and the full-utilisation rate after an accrual, each
AccrueFees the shares that it minted. Which maths a V1.1 class runs no public source says for
sure, so its pools vote: a singleton computes with the variant that fits what most of them told.
Votes are part of the singleton's state, so a replay repeats them.
"""

from __future__ import annotations

import collections
import contextlib

from indexer.vesu import accrual, kinds, ledgers, maths, state

_V = maths.Variant

AT_DEPLOYMENT = {
    kinds.Kind.SINGLETON_V1_0: (_V.V1_0,),
    kinds.Kind.SINGLETON_V1_1: (_V.V1_0, _V.V1_1B, _V.V1_1C),
}
"""Variants to try, the likeliest first: V1.1 was deployed with V1.0's maths."""

MOST_VOTES = 1_000
"""Pools of a singleton that vote, the first ones: anyone may create more."""

AFTER_UPGRADE = (_V.V1_1B, _V.V1_1C, _V.V1_0)
"""Variants to try after an upgrade of V1.1 to a class that is not known."""


def variants(ledger: ledgers.Ledger, singleton: int) -> tuple[maths.Variant, ...]:
    """What the singleton's class may compute with, the likeliest first."""
    contract = ledger.world.contracts.get(singleton)
    if contract is not None and contract.variants is not None:
        return contract.variants
    known = ledger.registry.get(singleton)
    return AT_DEPLOYMENT[known.kind] if known else (_V.V1_0,)


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

    Each pool has one vote: the variants that fitted all that it told since it last contradicted
    itself. So one owner, whose rate model changed without an event, outvotes nobody, and a
    variant that lost can win again.
    """
    possible = variants(ledger, pool.address)
    contract = ledger.world.contracts.get(pool.address)
    votes = dict(contract.variant_votes) if contract else {}
    before = votes.get(pool.id, possible)
    agreed = tuple(variant for variant in before if variant in fitting) or fitting
    if set(agreed) == set(before) or (pool.id not in votes and len(votes) >= MOST_VOTES):
        return
    votes[pool.id] = agreed
    scores = collections.Counter(variant for found in votes.values() for variant in found)
    base = _base(ledger, pool.address, contract)
    ranked = tuple(sorted(base, key=lambda variant: (-scores[variant], base.index(variant))))
    _choose(ledger, origin, pool.address, ranked, tuple(sorted(votes.items())))


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
    votes: tuple[tuple[int, tuple[maths.Variant, ...]], ...],
) -> None:
    """Compute all the singleton's markets with the first of these variants."""
    ledger.contract(origin, singleton, variants=ranked, variant_votes=votes)
    for key, asset in list(ledger.world.assets.items()):
        is_its = key.pool.address == singleton and not ledger.is_quarantined(key.pool)
        if is_its and asset.variant not in (ranked[0], _V.FROZEN):
            ledger.asset(origin, key, ledgers.replace(asset, variant=ranked[0]))


def predictions(
    ledger: ledgers.Ledger,
    origin: ledgers.Origin,
    key: state.AssetKey,
    asset_state: accrual.AssetState,
) -> dict[maths.Variant, accrual.AssetState]:
    """A market accrued to now by each variant that can; notes the shares that each would mint."""
    found = {}
    for variant in variants(ledger, key.pool.address):
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
        return ledgers.replace(reported, variant=variants(ledger, key.pool.address)[0])
    model = ask_model(ledger, origin, key)
    changed = model is not None and model != before.model
    first = next(iter(predicted.values()), before)
    _note(ledger, origin, key, first, reported, "rate model changed" if changed else "")
    return ledgers.replace(reported, model=model) if model is not None else reported


def check_fees(
    ledger: ledgers.Ledger, origin: ledgers.Origin, key: state.AssetKey, reported: int
) -> None:
    """Compare the shares that an accrual minted with what AccrueFees tells."""
    expected = ledger.transient.expected.pop(key, None)
    if expected is None:
        return
    ledger.journal.checks += 1
    possible = variants(ledger, key.pool.address)
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
