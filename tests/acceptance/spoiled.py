"""`vesu-indexer` with a fault built in: killed at a place, with a bug in a fold, another fold.

Runs as a process of its own, which is forked (tests/zygote.py) and then spoiled with
FAULT[:VALUE], so that a kill is a kill and nothing is patched in the tests' own process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import msgspec

from indexer.projections import tables
from indexer.projections.shadow import build, seed, swap
from indexer.vesu import ledgers
from tests import zygote


async def command(
    environ: dict[str, str], fault: str, *arguments: str, timeout: float = 120
) -> tuple[int, str, str]:
    """Run `vesu-indexer ARGUMENTS` with a fault; returns (exit code, stdout, stderr)."""
    return await zygote.shared.run(environ, *arguments, timeout=timeout, fault=fault)


async def killed(environ: dict[str, str], where: str, *arguments: str) -> None:
    """Run a command that is killed at a place; fails where it never came there."""
    code, out, err = await command(environ, where, *arguments)
    assert code == -signal.SIGKILL, f"{where} was not reached, exit {code}:\n{out}\n{err}"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_after(owner: Any, name: str, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    inner = getattr(owner, name)

    async def dying(*given: Any, **named: Any) -> Any:
        result = await inner(*given, **named)
        if when(*given, **named):
            _die()
        return result

    setattr(owner, name, dying)


def _kill_before(owner: Any, name: str, when: Callable[..., bool]) -> None:
    inner = getattr(owner, name)

    async def dying(*given: Any) -> Any:
        if when(*given):
            _die()
        return await inner(*given)

    setattr(owner, name, dying)


def _shares_off_by_one(block: int) -> None:
    """The first position that changes in or after a block gets a share too many, each time."""
    inner = ledgers.Ledger.put_position
    spoiled: set[Any] = set()

    def wrong(self: ledgers.Ledger, origin: ledgers.Origin, key: Any, changed: Any) -> None:
        if origin.event_key.block_number >= block and (not spoiled or key in spoiled):
            spoiled.add(key)
            changed = msgspec.structs.replace(
                changed, collateral_shares=changed.collateral_shares + 1
            )
        inner(self, origin, key, changed)

    ledgers.Ledger.put_position = wrong  # type: ignore[method-assign]


def _repaid_forgotten() -> None:
    """Repayments are not noted."""
    inner = ledgers.Ledger.transaction

    def wrong(self: ledgers.Ledger, *given: Any) -> None:
        if "repay" not in given:
            inner(self, *given)

    ledgers.Ledger.transaction = wrong  # type: ignore[method-assign]


def spoil(fault: str) -> None:
    """Build the fault in."""
    what, _, value = fault.partition(":")
    if what == "kill-after-block":
        at = int(value)
        _kill_after(build.Shadow, "_write", lambda _, batch, *__: batch.to_block >= at)
    elif what == "kill-before-block":
        at = int(value)
        _kill_before(build.Shadow, "_write", lambda _, batch, *__: batch.to_block >= at)
    elif what == "kill-while-seeding":
        _kill_after(seed, "seed")
    elif what == "kill-inside-swap":
        _kill_after(swap, "_apply")
    elif what == "kill-after-swap":
        _kill_after(swap, "swap")
    elif what == "shares-off-by-one":
        _shares_off_by_one(int(value))
    elif what == "repaid-forgotten":
        _repaid_forgotten()
    elif what == "fold":
        tables.FOLD_VERSION = int(value)
    else:
        raise ValueError(fault)
