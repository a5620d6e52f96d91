"""Accrual proves itself: what the chain tells of an accrual against what the fold predicted.

Each UpdateContext carries the accumulator and the full-utilisation rate after an accrual, each
AccrueFees the shares that it minted. Which maths a V1.1 class runs no public source says for
sure, so a singleton keeps every variant that has not been wrong yet, the likeliest first, and
computes with that one. The choice is part of the singleton's state, so a replay repeats it.
"""

from __future__ import annotations

from indexer.vesu import accrual, kinds, ledger, maths, state

_V = maths.Variant

AT_DEPLOYMENT = {
    kinds.Kind.SINGLETON_V1_0: (_V.V1_0,),
    kinds.Kind.SINGLETON_V1_1: (_V.V1_0, _V.V1_1B, _V.V1_1C),
}
"""Variants to try, the likeliest first: V1.1 was deployed with V1.0's maths."""

AFTER_UPGRADE = (_V.V1_1B, _V.V1_1C, _V.V1_0)
"""Variants to try after an upgrade of V1.1 to a class that is not known."""


def variants(book: ledger.Ledger, singleton: int) -> tuple[maths.Variant, ...]:
    """What the singleton's class may compute with, the likeliest first."""
    contract = book.world.contracts.get(singleton)
    if contract is not None and contract.variants is not None:
        return contract.variants
    known = book.registry.get(singleton)
    return AT_DEPLOYMENT[known.kind] if known else (_V.V1_0,)


def upgraded(book: ledger.Ledger, origin: ledger.Origin) -> None:
    """A singleton runs another class: every variant may be the right one again."""
    choose(book, origin, origin.emitter, AFTER_UPGRADE)


def choose(
    book: ledger.Ledger,
    origin: ledger.Origin,
    singleton: int,
    left: tuple[maths.Variant, ...],
) -> None:
    """Keep these variants, and compute all the singleton's markets with the first."""
    book.contract(origin, singleton, variants=left)
    for key, asset in list(book.world.assets.items()):
        if key.pool.address == singleton and asset.variant not in (left[0], _V.FROZEN):
            book.asset(origin, key, ledger.replace(asset, variant=left[0]))


def check_context(
    book: ledger.Ledger,
    origin: ledger.Origin,
    key: state.AssetKey,
    before: accrual.AssetState,
    told: accrual.AssetState,
) -> accrual.AssetState:
    """Compare an accrual with what UpdateContext tells; returns the state to go on with.

    Where no variant fits, the rate model may have been changed, which V1 tells in no event:
    then the extension is asked for it.
    """
    if before.last_updated == 0 or before.model == accrual.NO_MODEL:
        return told
    possible = variants(book, key.pool.address)
    predicted = {
        variant: accrual.accrue(ledger.replace(before, variant=variant), origin.timestamp)
        for variant in possible
    }
    book.transient.expected[key] = {
        variant: state_.fee_shares - before.fee_shares for variant, state_ in predicted.items()
    }
    book.journal.checks += 1
    fitting = tuple(v for v in possible if _rates(predicted[v]) == _rates(told))
    if fitting:
        if fitting != possible:
            choose(book, origin, key.pool.address, fitting)
        return ledger.replace(told, variant=fitting[0])
    model = ask_model(book, origin, key)
    changed = model is not None and model != before.model
    _note(book, origin, key, predicted[possible[0]], told, "rate model changed" if changed else "")
    return ledger.replace(told, model=model) if model is not None else told


def check_fees(book: ledger.Ledger, origin: ledger.Origin, key: state.AssetKey, told: int) -> None:
    """Compare the shares that an accrual minted with what AccrueFees tells."""
    expected = book.transient.expected.pop(key, None)
    if expected is None:
        return
    book.journal.checks += 1
    possible = variants(book, key.pool.address)
    fitting = tuple(v for v in possible if expected.get(v) == told)
    if not fitting:
        first = possible[0]
        book.journal.mismatches.append(
            state.Mismatch(origin.at, key, first, "fee_shares", expected.get(first, 0), told, "")
        )
    elif fitting != possible:
        choose(book, origin, key.pool.address, fitting)


def resynchronised(
    book: ledger.Ledger, origin: ledger.Origin, key: state.AssetKey, accrued: accrual.AssetState
) -> accrual.AssetState:
    """An accrued market with the contract's own rates, asked for where no event carries them.

    Only what is the same for all of a block is taken: totals may change again within it.
    """
    felts = book.ask(origin, key.pool.address, "asset_config_unsafe", key.pool.id, key.asset)
    told = accrual.config_of(felts or ())
    if told is None:
        return accrued
    rates = ledger.replace(
        accrued,
        last_rate_accumulator=told.last_rate_accumulator,
        last_full_utilization_rate=told.last_full_utilization_rate,
    )
    if _rates(rates) != _rates(accrued):
        _note(book, origin, key, accrued, rates, "read by view")
    return rates


def ask_model(
    book: ledger.Ledger, origin: ledger.Origin, key: state.AssetKey
) -> accrual.RateModel | None:
    """The rate model that a V1 extension has for an asset; None where it gives none."""
    pool = book.world.pools.get(key.pool)
    if pool is None or pool.extension is None or book.registry.get(pool.extension) is None:
        return None
    felts = book.ask(origin, pool.extension, "interest_rate_config", key.pool.id, key.asset)
    return accrual.model_of(felts or ())


def _rates(asset: accrual.AssetState) -> tuple[int, int]:
    return asset.last_rate_accumulator, asset.last_full_utilization_rate


def _note(
    book: ledger.Ledger,
    origin: ledger.Origin,
    key: state.AssetKey,
    predicted: accrual.AssetState,
    told: accrual.AssetState,
    explanation: str,
) -> None:
    for field in ("last_rate_accumulator", "last_full_utilization_rate"):
        ours, theirs = getattr(predicted, field), getattr(told, field)
        if ours != theirs:
            book.journal.mismatches.append(
                state.Mismatch(origin.at, key, predicted.variant, field, ours, theirs, explanation)
            )
