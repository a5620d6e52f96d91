"""Transactions that a liquidator sends: selectors and calldata, as the contracts' ABIs lay out.

The packaged ABIs hold events and views alone; the layouts here are those of
`LiquidatePositionParams` in the classes of the recorded chains, against which they are tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from indexer.cairo import types
from indexer.vesu import state

APPROVE = 0x219209E083275171774DAB1DF80982E9DF2096516F06319C5C6D71AE0A8480C
"""Selector of ERC-20's `approve`."""

LIQUIDATE_POSITION = 0x3C43E150CA840FD9E5333A4158E5070DAB803A57A3E2B2EEAC6A442075FB5E
"""Selector of `liquidate_position`, the same in V1 and V2."""

_LIMB = (1 << types.LIMB_BITS) - 1


class Call(NamedTuple):
    """One call of an account's multicall: contract, selector and calldata as felts."""

    contract: int
    function: str
    selector: int
    calldata: tuple[int, ...]


def approve(token: int, spender: int, amount: int) -> Call:
    """Let `spender` take `amount` raw units of a token from the account."""
    return Call(token, "approve", APPROVE, (spender, *u256(amount)))


def liquidate(key: state.PositionKey, repay: int, least_seized: int) -> Call:
    """Repay up to `repay` raw units of a position's debt for at least `least_seized` collateral.

    V1 takes the two amounts as the data of its extension, and gives the collateral as tokens.
    """
    limits = (*u256(least_seized), *u256(repay))
    position = (key.collateral, key.debt, key.user)
    if key.pool.address == key.pool.id:
        calldata: Sequence[int] = (*position, *limits)
    else:
        receives_shares = 0
        calldata = (key.pool.id, *position, receives_shares, len(limits), *limits)
    return Call(key.pool.address, "liquidate_position", LIQUIDATE_POSITION, tuple(calldata))


def u256(value: int) -> tuple[int, int]:
    """The two limbs of a number, low first. ValueError where it is not one of 256 bits."""
    if not 0 <= value < 1 << 256:
        raise ValueError(f"{value} is no u256")
    return value & _LIMB, value >> types.LIMB_BITS
