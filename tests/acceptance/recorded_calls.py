"""The position changes that a recording's users asked for, read from their transactions.

`operations.jsonl` names the calls; what each asked for stands in the calldata of the account's
multicall, laid out as the contracts' ABIs say. What the tokens moved is the operations' own.
"""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from indexer.vesu import amounts, state
from tests.acceptance import truth

FUNCTIONS = ("modify_position", "deposit", "mint", "withdraw", "redeem")

EVERYTHING = None
"""A target of zero: all that the position holds or owes."""

Wanted = amounts.Amount | None


class Sent(msgspec.Struct, frozen=True):
    """One call on a position.

    `operations` are its recorded legs: what moved, or why the transaction was reverted.
    """

    block: int
    transaction: int
    position: state.PositionKey
    operations: tuple[dict[str, Any], ...]

    @property
    def is_reverted(self) -> bool:
        return bool(self.operations[0]["reverted"])

    @property
    def reason(self) -> str:
        """The innermost words of the revert reason; empty where the node cut them off."""
        text = self.operations[0]["revert_reason"]
        quoted = re.findall(r"\n\"([^\"\n]+)\"\.\n$|\('([^')]+)'\)\.\n$", text)
        return "".join(quoted[-1]) if quoted else ""

    @property
    def title(self) -> str:
        named = {one["op"] for one in self.operations}
        who = self.operations[0]["user_name"]
        return f"{who} {sorted(named)} in block {self.block}, transaction {self.transaction}"


class Call(Sent, frozen=True):
    """One call that changes a position, as it was asked for."""

    collateral: Wanted
    debt: Wanted

    def amount_of(self, wanted: Wanted, held: int) -> amounts.Amount:
        """An amount for the position's own units that it holds or owes."""
        return amounts.Amount(-held, is_native=True) if wanted is EVERYTHING else wanted


class Liquidation(Sent, frozen=True):
    """One call that liquidates: the debt offered, and the least collateral asked for."""

    offered: int
    least: int
    keeps_shares: bool
    calldata: tuple[int, ...]


def of(recorded: truth.Recorded) -> list[Call]:
    """All calls of a recording that change a position, in the chain's order."""
    told = (one for one in recorded.operations if one["function"] in FUNCTIONS)
    grouped = itertools.groupby(told, key=lambda one: (one["tx_hash"], one["call_index"]))
    sent = calldata(recorded)
    return [_call(recorded, list(legs), sent[int(tx, 16)][at]) for (tx, at), legs in grouped]


def liquidations(recorded: truth.Recorded) -> list[Liquidation]:
    """All calls of a recording that liquidate, in the chain's order."""
    sent = calldata(recorded)
    return [
        _liquidation(one, sent[int(one["tx_hash"], 16)][one["call_index"]])
        for one in recorded.operations
        if one["op"] == "liquidation"
    ]


def _liquidation(operation: dict[str, Any], felts: list[int]) -> Liquidation:
    if operation["generation"] == "v2":
        pool, keeps_shares = state.v2_pool(int(operation["pool"], 16)), False
        assets, limits = felts[:3], felts[3:7]
    else:
        pool = state.PoolKey(int(operation["singleton"], 16), felts[0])
        assets, keeps_shares, limits = felts[1:4], bool(felts[4]), felts[6:10]
    least, offered = truth.u256s(limits)
    collateral, debt, user = assets
    return Liquidation(
        operation["block_number"],
        operation["tx_index"],
        state.PositionKey(pool, collateral, debt, 0, user),
        (operation,),
        offered,
        least,
        keeps_shares and operation["generation"] == "v10",
        tuple(felts),
    )


def calldata(recorded: truth.Recorded) -> dict[int, list[list[int]]]:
    """The arguments of every call of every account's multicall, by transaction."""
    found = {}
    for line in _blocks(recorded):
        for one in line["transactions"]:
            felts = one["transaction"].get("calldata")
            if felts and one["transaction"]["type"] == "INVOKE":
                found[int(one["receipt"]["transaction_hash"], 16)] = list(
                    _multicall(truth.felts(felts))
                )
    return found


def _blocks(recorded: truth.Recorded) -> Iterator[dict[str, Any]]:
    with gzip.open(recorded.folder / "blocks.jsonl.gz") as lines:
        for line in lines:
            yield msgspec.json.decode(line)


def _multicall(felts: list[int]) -> Iterator[list[int]]:
    """An account's calls: their number, then of each the contract, selector and arguments."""
    at = 1
    for _ in range(felts[0]):
        size = felts[at + 2]
        yield felts[at + 3 : at + 3 + size]
        at += 3 + size


def _call(recorded: truth.Recorded, legs: list[dict[str, Any]], felts: list[int]) -> Call:
    first = legs[0]
    if first["function"] == "modify_position":
        position, collateral, debt = _modify(first, felts)
    else:
        position, collateral = _v_token(recorded, first, felts)
        debt = amounts.NOTHING
    place = (first["block_number"], first["tx_index"])
    return Call(*place, position, tuple(legs), collateral, debt)


def _modify(
    operation: dict[str, Any], felts: list[int]
) -> tuple[state.PositionKey, Wanted, Wanted]:
    if operation["generation"] == "v2":
        pool = state.v2_pool(int(operation["pool"], 16))
        collateral, debt, user = felts[:3]
        wanted = (_amount(0, *felts[3:7]), _amount(0, *felts[7:11]))
    else:
        pool = state.PoolKey(int(operation["singleton"], 16), felts[0])
        collateral, debt, user = felts[1:4]
        wanted = (_amount(*felts[4:9]), _amount(*felts[9:14]))
    return state.PositionKey(pool, collateral, debt, 0, user), *wanted


def _amount(is_target: int, is_assets: int, low: int, high: int, is_negative: int) -> Wanted:
    value = low + (high << 128)
    if is_target:
        assert value == 0, "no recorded target but zero"
        return EVERYTHING
    return amounts.Amount(-value if is_negative else value, is_native=not is_assets)


def _v_token(
    recorded: truth.Recorded, operation: dict[str, Any], felts: list[int]
) -> tuple[state.PositionKey, Wanted]:
    """A vToken changes its own position (V2), or the extension's without a debt asset (V1)."""
    function, size = operation["function"], felts[0] + (felts[1] << 128)
    is_native = function in ("mint", "redeem")
    wanted = amounts.Amount(size if function in ("deposit", "mint") else -size, is_native=is_native)
    v_token = int(operation["v_token"], 16)
    entry = recorded.v_tokens[v_token]
    asset, pool = int(entry["asset"], 16), int(entry["pool"], 16)
    deployed = {int(one["address"], 16): one for one in recorded.manifest["contracts"].values()}
    generation = deployed[v_token]["generation"]
    if generation == "v2":
        debt = int(entry["debt_asset"], 16)
        return state.PositionKey(state.v2_pool(pool), asset, debt, 0, v_token), wanted
    contracts = recorded.manifest["contracts"]
    singleton = int(contracts[f"singleton_{generation}"]["address"], 16)
    named = recorded.manifest["pools"][entry["pool_key"]].get("extension") or (
        f"extension_{generation}"
    )
    extension = int(contracts[named]["address"], 16)
    key = state.PositionKey(state.PoolKey(singleton, pool), asset, 0, 0, extension)
    return key, wanted
