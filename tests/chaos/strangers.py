"""devnet-a with strangers on it: pools of theirs that do and answer the worst that they can.

The recording is written anew with transactions of theirs at the end of some blocks, on the main
chain and on the fork.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from indexer import errors
from indexer.audit import digest
from indexer.cairo import selector
from indexer.projections import tables
from indexer.recording import options
from tests.acceptance import truth
from tests.hostile import chain, rewriting

EXTREME, GREEDY, BROKEN = 0xBAD1, 0xBAD2, 0xBAD3
"""Pools: of extreme rates and prices; that takes what is not there; whose views no node can run."""

POOLS = (EXTREME, GREEDY, BROKEN)
TOKENS = {pool: pool << 8 | 1 for pool in POOLS}
V_TOKENS = {pool: pool << 8 | 2 for pool in POOLS}
MALLORY = 0x3A1107
U64, U128, U256 = 2**64 - 1, 2**128 - 1, 2**256 - 1

CREATED = {BROKEN: 50, EXTREME: 82, GREEDY: 82}
"""The blocks in which the pools are made; both branches have them."""

RATES = (50_000, 60_000, 55_000, U64, U64, U64, 1, 10**18)


class Said:
    """What strangers emit in a block: each list is a transaction."""

    def __init__(self, recorded: truth.Recorded) -> None:
        accounts = recorded.manifest["accounts"]
        self._alice, self._bob = int(accounts["alice"], 16), int(accounts["bob"], 16)
        self._usdc = int(recorded.manifest["tokens"]["USDC"]["address"], 16)
        self._real = {chain.FACTORY: int(recorded.factory, 16), chain.USDC: self._usdc}
        """The recorded chain's contracts in place of those of the chain made by hand."""

    def at(self, number: int, timestamp: int) -> Iterator[list[chain.Sent]]:
        """The transactions of a block."""
        created = [self._created(pool, timestamp) for pool in POOLS if CREATED[pool] == number]
        for sent in [*created, *self._uses(timestamp).get(number, ())]:
            yield [
                (self._real.get(emitter, emitter), name, [self._real.get(k, k) for k in keys], data)
                for emitter, name, keys, data in sent
            ]

    def _created(self, pool: int, timestamp: int) -> list[chain.Sent]:
        made = chain.created(pool, V_TOKENS[pool], asset=TOKENS[pool])
        return [
            (emitter, name, keys, _config(timestamp) if name == "SetAssetConfig" else data)
            for emitter, name, keys, data in made
        ]

    def _uses(self, timestamp: int) -> Mapping[int, Sequence[list[chain.Sent]]]:
        """By block; 86 to 91 are on both branches."""
        return {
            86: (
                [
                    (EXTREME, "SetInterestRateConfig", [], [self._usdc, *chain.u256(*RATES)]),
                    _context(EXTREME, timestamp, price=U256),
                    _modify(EXTREME, MALLORY, 10**18, 10**17),
                ],
                [_minted(EXTREME, self._alice, 10**22), _minted(BROKEN, self._bob, 10**25)],
                [_modify(GREEDY, MALLORY, 5), _minted(GREEDY, self._bob, 1)],
            ),
            88: (
                [_modify(GREEDY, MALLORY, -(10**30)), _minted(GREEDY, self._bob, 2)],
                [_context(BROKEN, timestamp, price=10**18), _modify(BROKEN, MALLORY, 10**18, 1)],
            ),
            90: (
                [_context(EXTREME, timestamp, price=0), _modify(EXTREME, self._alice, 1)],
                [(chain.FACTORY, "UpdateVToken", _renamed(GREEDY, self._alice), [])],
                [(BROKEN, "UpdateContext", [TOKENS[BROKEN]], [1, 2, 3])],
            ),
            94: (
                [_modify(BROKEN, self._bob, 10**18)],
                [(GREEDY, "ContractUpgraded", [], [0xDEAD]), _modify(GREEDY, MALLORY, 7)],
                [(V_TOKENS[BROKEN], "Transfer", [self._bob, MALLORY], chain.u256(10**24))],
            ),
        }


def _config(timestamp: int, **changes: int) -> list[int]:
    return chain.config(1, last_updated=timestamp, **changes)


def _context(pool: int, timestamp: int, price: int) -> chain.Sent:
    config = _config(timestamp)
    data = [*config, *config, *chain.u256(price), 1, *chain.u256(10**18), 1]
    return (pool, "UpdateContext", [TOKENS[pool], chain.USDC], data)


def _modify(pool: int, user: int, shares: int, nominal: int = 0) -> chain.Sent:
    return chain.modify(pool, user, shares, nominal, TOKENS[pool])


def _minted(pool: int, receiver: int, amount: int) -> chain.Sent:
    """A deposit for somebody else, who is not asked."""
    return (V_TOKENS[pool], "Transfer", [0, receiver], chain.u256(amount))


def _renamed(pool: int, wallet: int) -> list[int]:
    return [pool, TOKENS[pool], V_TOKENS[pool], wallet]


# --- the recording ------------------------------------------------------------------------------


def join(recorded: truth.Recorded, folder: Path) -> None:
    """Write the recording with the strangers' transactions into a folder."""
    said = Said(recorded)

    def add(block: rewriting.Block) -> None:
        for sent in said.at(block["block_number"], block["timestamp"]):
            rewriting.append(block, [_event(one) for one in sent])

    rewriting.rewrite(recorded, folder, add)


def _event(sent: chain.Sent) -> rewriting.Event:
    emitter, name, keys, data = sent
    selectors = map(selector.of, chain.PREFIXES.get(name, name).split("/"))
    return rewriting.emitted(emitter, [*selectors, *keys], data)


# --- what their contracts answer ----------------------------------------------------------------

TEN_THOUSAND_WORDS = [10_000, *[0x41] * 10_000, 0, 0]

TOLD: dict[tuple[int, str], list[int]] = {
    (TOKENS[EXTREME], "symbol"): TEN_THOUSAND_WORDS,
    (TOKENS[EXTREME], "name"): [U64],
    (TOKENS[EXTREME], "decimals"): [255],
    (EXTREME, "price"): [U128, U128, 1],
    (TOKENS[GREEDY], "symbol"): [1] * 1_000,
}
"""What their contracts answer; they refuse everything else, and BROKEN's token and oracle run for
so long that a node gives up."""

UNKNOWN_CLASS = {GREEDY: 0xDEAD}

_TOLD = {
    (contract, hex(selector.of(view))): [hex(felt) for felt in felts]
    for (contract, view), felts in TOLD.items()
}
_ENDLESS = {(TOKENS[BROKEN], hex(selector.of(view))) for view in ("symbol", "name", "decimals")}
_ENDLESS |= {(BROKEN, hex(selector.of("price")))}
_THEIRS = frozenset({*POOLS, *TOKENS.values(), *V_TOKENS.values()})


def fault(recorded: truth.Recorded) -> Callable[[str, Any], options.Fault | None]:
    """Answers questions to the strangers' contracts in place of the recording."""
    pool_class = recorded.manifest["classes"]["Pool"]

    def answer(method: str, params: Any) -> options.Fault | None:
        if method == "starknet_getClassHashAt":
            address = params["contract_address"] if isinstance(params, dict) else params[1]
            if int(address, 16) not in _THEIRS:
                return None
            told = hex(UNKNOWN_CLASS.get(int(address, 16), int(pool_class, 16)))
            return options.Fault(result=lambda: told)
        if method != "starknet_call":
            return None
        request = params["request"] if isinstance(params, dict) else params[0]
        contract, view = int(request["contract_address"], 16), request["entry_point_selector"]
        if contract not in _THEIRS:
            return None
        return options.Fault(result=lambda: _told(contract, view))

    return answer


def _told(contract: int, view: str) -> list[str]:
    if (contract, view) in _ENDLESS:
        raise errors.RpcError("Internal error", -32603)
    if (contract, view) not in _TOLD:
        raise errors.RpcError("Contract error", 40, {"revert_error": "u256_mul Overflow"})
    return _TOLD[contract, view]


# --- everybody else's rows ----------------------------------------------------------------------


async def others(connection: asyncpg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """The digested columns of all rows that name no contract of theirs, of tables with pools."""
    theirs = {f"0x{contract:064x}" for contract in _THEIRS}
    found = {}
    for table in digest.DIGESTED:
        if table.name not in chain.OF_A_POOL:
            continue
        columns = table.state
        if table in tables.CURRENT:
            columns = tuple(table.current_name(one) for one in columns)
        rows = await connection.fetch(f"SELECT {', '.join(columns)} FROM {table.name}")
        kept = (tuple(row) for row in rows if theirs.isdisjoint(map(str, row)))
        found[table.name] = sorted(kept, key=repr)
    return found
