"""V1 by hand: pools of one singleton on Vesu's own extension, and one on a stranger's.

`OURS` belongs to honest people. Each case of a stranger has a pool of its own beside it, on the
same extension or on a stranger's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from indexer import errors
from indexer.cairo import view_call
from indexer.vesu import discovery, kinds
from tests.hostile import chain
from tests.hostile.chain import ALICE, BOB, ETH, MALLORY, USDC, i257, u256

SINGLETON, EXTENSION, STRANGER = 0x51, 0xE7, 0xBADE
OURS, FIRST_THEIRS = 0x101, 0x200
V_OURS, FIRST_V_THEIRS = 0x7E1, 0x7000

GENERATIONS: dict[str, chain.Roots] = {
    "v1.0": [
        (SINGLETON, discovery.Known(kinds.Kind.SINGLETON_V1_0)),
        (EXTENSION, discovery.Known(kinds.Kind.EXTENSION_V1_0)),
    ],
    "v1.1": [
        (SINGLETON, discovery.Known(kinds.Kind.SINGLETON_V1_1)),
        (EXTENSION, discovery.Known(kinds.Kind.EXTENSION_V1_1)),
    ],
}


def config(block: int, **changes: int) -> list[int]:
    """V1's AssetConfig: V2's without the fee shares."""
    return chain.config(block, **changes)[:20]


def context(
    pool: int, block: int, price: int = 10**18, valid: int = 1, **changes: int
) -> chain.Sent:
    """An UpdateContext of a pool's pair, its collateral side changed."""
    data = [*config(block, **changes), *config(block), *u256(price), valid, *u256(10**18), 1]
    return (SINGLETON, "UpdateContext", [pool, ETH, USDC], data)


def modify(pool: int, user: int, shares: int, nominal: int = 0) -> chain.Sent:
    """A position's change."""
    deltas = i257(shares, shares, nominal, nominal)
    return (SINGLETON, "ModifyPosition", [pool, ETH, USDC, user], deltas)


def rates(pool: int, *values: int) -> chain.Sent:
    """A rate model, as it is told at a pool's creation alone."""
    name = "InterestRateModelEvents/SetInterestRateConfig"
    return (EXTENSION, name, [], [pool, USDC, *u256(*values)])


def hooks(name: str, *keys: int, data: Sequence[int]) -> chain.Sent:
    """A setting of the extension."""
    return (EXTENSION, f"PositionHooksEvents/{name}", list(keys), list(data))


def created(pool: int, extension: int = EXTENSION, v_token: int = 0) -> list[chain.Sent]:
    """A pool with two assets, a pair and, on Vesu's extension, a vToken and its settings."""
    made: list[chain.Sent] = [
        (SINGLETON, "SetExtension", [pool, extension], []),
        (SINGLETON, "SetAssetConfig", [pool, ETH], []),
        (SINGLETON, "SetAssetConfig", [pool, USDC], []),
        (SINGLETON, "SetLTVConfig", [pool, ETH, USDC], [8 * 10**17]),
        (SINGLETON, "CreatePool", [pool, extension, 1], []),
    ]
    if v_token:
        made += [
            (EXTENSION, "TokenizationEvents/CreateVToken", [v_token, pool, ETH], []),
            hooks("SetShutdownConfig", pool, data=[86_400, 86_400]),
            (EXTENSION, "FeeModelEvents/SetFeeConfig", [pool, 1], []),
        ]
    return made


HONEST: list[chain.Block] = [
    created(OURS, v_token=V_OURS),
    [context(OURS, 2), modify(OURS, ALICE, 10**18, 10**17)],
    [],
    [context(OURS, 4), modify(OURS, BOB, 10**18)],
    [(V_OURS, "Transfer", [0, BOB], u256(500)), (V_OURS, "Transfer", [BOB, ALICE], u256(200))],
    [context(OURS, 6), modify(OURS, BOB, -(10**17))],
]
"""Blocks 1 to 6: a pool is made and people use it."""


def with_strangers(
    cases: Sequence[Sequence[chain.Sent]], extension: int = EXTENSION
) -> list[chain.Block]:
    """The honest chain, with a pool for each case, whose events the fourth block ends with."""
    pools = range(FIRST_THEIRS, FIRST_THEIRS + len(cases))
    made, used, grown = [], [], []
    for index, pool in enumerate(pools):
        v_token = FIRST_V_THEIRS + index if extension == EXTENSION else 0
        made += created(pool, extension, v_token)
        used += [context(pool, 3), modify(pool, MALLORY, 10**18)]
        grown += cases[index]
    more = {1: made, 3: used, 4: grown}
    return [[*one, *more.get(number, ())] for number, one in enumerate(HONEST, 1)]


class Node(chain.Node):
    """Answers views of the strangers' pools in its own way, and all others honestly.

    `is_endless`: it never answers what the singleton would ask a stranger's extension for.
    """

    def __init__(
        self, answer: Sequence[int] | errors.RpcError = (0x12,), is_endless: bool = False
    ) -> None:
        super().__init__()
        self._theirs = answer
        self._is_endless = is_endless

    async def calls(  # type: ignore[override]
        self, calls: Sequence[view_call.ViewCall], _: object
    ) -> list[list[int] | errors.RpcError]:
        found: list[list[int] | errors.RpcError] = []
        for call in calls:
            is_theirs = any(one >= FIRST_THEIRS for one in (call.contract, *call.calldata[:1]))
            is_theirs = is_theirs and call.contract != V_OURS
            if is_theirs and self._is_endless and call.contract == SINGLETON:
                await asyncio.Event().wait()
            if not is_theirs:
                found.append(self._answer)
            elif isinstance(self._theirs, errors.RpcError):
                found.append(self._theirs)
            else:
                found.append(list(self._theirs))
        return found
