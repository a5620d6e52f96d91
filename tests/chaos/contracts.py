"""Vesu's pools and vTokens on an invented chain: what their views answer at each of its blocks.

They begin as the recording below says that they were, by their own answers in its last block. From
there on each does what users ask of it (so many shares, so much nominal debt, a transfer of
vTokens) by `tests.unit.contract_markets`, which shares nothing with the indexer. What an invented
UpdateContext tells is not looked at: its maker accrues with the indexer's own formulas.
"""

from __future__ import annotations

import bisect
import collections
import operator
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from indexer import errors
from indexer.cairo import selector
from indexer.chain import types
from indexer.recording import chain, options
from tests.acceptance import truth
from tests.unit import contract_markets
from tests.unit.contract_markets import Market, RateModel, limbs, u256s

Key = tuple[Any, ...]
Refused = errors.RpcError

WRITING = ("UpdateContext", "Donate", "ClaimFees", "SetAssetConfig", "SetInterestRateConfig")
"""Events of a pool that stores an asset's configuration in the block."""

STANDING = (
    *("price", "interest_rate_config", "pair_config", "owner", "curator", "oracle"),
    *("fee_recipient", "pausing_agent", "is_paused"),
)
"""Views whose answers no invented event changes."""

ASSET_CONFIG, POSITION, PAIRS = "asset_config", "position", "pairs"
BALANCE, SUPPLY = "balance_of", "total_supply"


class Place(msgspec.Struct, frozen=True):
    """A block: its branch (0: the main one), number and time."""

    branch: int
    number: int
    time: int


class Storage:
    """Values by key, and since which block of which branch."""

    def __init__(self, forks: dict[int, int]) -> None:
        self._forks = forks
        self._since: dict[tuple[int, Key], list[tuple[int, Any]]] = collections.defaultdict(list)

    def write(self, key: Key, place: Place, value: Any) -> None:
        """From this block on the key holds this."""
        self._since[place.branch, key].append((place.number, value))

    def read(self, key: Key, place: Place, otherwise: Any = None) -> Any:
        """What the key holds in a block."""
        for branch, number in (
            *([(place.branch, place.number)] if place.branch else []),
            (0, self._forks.get(place.branch, place.number)),
        ):
            since = self._since.get((branch, key), [])
            found = bisect.bisect_right(since, number, key=operator.itemgetter(0))
            if found:
                return since[found - 1][1]
        return otherwise


class Contracts:
    """All of them; `first` is the first invented block."""

    def __init__(self, invented: chain.Recording) -> None:
        recorded = chain.load(chain.bundled())
        self.first = recorded.main.last + 1
        self._storage = Storage({fork.index: fork.common for fork in invented.forks})
        self._places: dict[int, Place] = {}
        self._pools = {int(pool["address"], 16) for pool in recorded.manifest["pools"].values()}
        self._v_tokens = {
            int(one["address"], 16): (int(one["pool"], 16), int(one["asset"], 16))
            for one in recorded.manifest["v_tokens"]
        }
        self._told: dict[Key, list[int] | Refused] = {}
        self._views = {
            ASSET_CONFIG: self._asset_config,
            POSITION: self._position,
            PAIRS: self._pairs,
            "check_collateralization": self._collateralization,
            BALANCE: self._balance,
            SUPPLY: self._supply,
            "convert_to_assets": self._worth,
            **{view: self._standing(view) for view in STANDING},
        }
        self._selectors = {selector.of(view): view for view in self._views}
        self._take_over(recorded.main)
        for branch in (invented.main, *invented.forks):
            for block in branch.blocks.values():
                if block.number >= self.first:
                    self._play(block)

    def answer(self, method: str, params: Any) -> options.Fault | None:
        """The answer to a view at an invented block; None to all that the recording answers."""
        if method != "starknet_call":
            return None
        request, block_id = params["request"], params["block_id"]
        place = self._places.get(int(block_id["block_hash"], 16))
        view = self.view(request["entry_point_selector"])
        if place is None or not view:
            return None
        contract = int(request["contract_address"], 16)
        calldata = truth.felts(request["calldata"])
        return options.Fault(result=lambda: [*map(hex, self.ask(view, contract, calldata, place))])

    def view(self, found: str) -> str:
        """A view's name by its selector; empty: none that is answered here."""
        return self._selectors.get(int(found, 16), "")

    def ask(self, view: str, contract: int, calldata: Sequence[int], place: Place) -> list[int]:
        """The felts that a view answers in a block; RpcError where the contract refuses."""
        return self._views[view](contract, calldata, place)

    def price(self, pool: int, asset: int) -> int | None:
        """What the oracle tells at every invented block; None where it refuses."""
        told = self._told["price", pool, asset]
        return None if isinstance(told, Refused) else u256s(told[:2])[0]

    def place(self, block_hash: str) -> Place:
        """An invented block."""
        return self._places[int(block_hash, 16)]

    # --- what they begin with -----------------------------------------------------------------

    def _take_over(self, main: chain.Branch) -> None:
        """Everything that the contracts answered in the last recorded block.

        `asset_config` is what the pool stores in blocks alone in which it stored something.
        """
        last, written = Place(0, main.last, 0), _written(main, self._pools)
        for call in main.calls.values():
            contract = int(call.contract, 16)
            key = (call.name, contract, *truth.felts(call.calldata))
            is_stored = call.block_number == written.get(key[1:]) and not call.error
            if is_stored and call.name == ASSET_CONFIG:
                self._storage.write(key, last, Market.of(_felts(call)))
            if call.block_number != main.last:
                continue
            self._told[key] = Refused("Contract error", 40) if call.error else _felts(call)
            if not call.error and call.name in (POSITION, PAIRS, BALANCE, SUPPLY):
                held = u256s(_felts(call))[:2]
                self._storage.write(key, last, held if len(held) == 2 else held[0])

    # --- what users do ------------------------------------------------------------------------

    def _play(self, block: chain.Block) -> None:
        time = msgspec.json.decode(block.answer, type=_Header).timestamp
        place = Place(block.branch, block.number, time)
        self._places[int(block.hash, 16)] = place
        for event in block.events:
            emitter, keys = int(event.from_address, 16), event.keys
            if emitter in self._pools and keys[0] == MODIFY_POSITION:
                self._modify(emitter, keys[1:], event, place)
            elif emitter in self._v_tokens and keys[0] == TRANSFER:
                self._transfer(emitter, keys[1:], event, place)

    def _modify(
        self, pool: int, keys: Sequence[int], event: types.EmittedEvent, place: Place
    ) -> None:
        """Add the shares and the nominal debt that an event tells, which may be negative."""
        collateral, debt, user = keys
        felts = event.data
        shares, nominal = _i257(felts[3:6]), _i257(felts[9:12])
        for asset, change in (
            (collateral, lambda market: market.supplied(shares)),
            (debt, lambda market: market.borrowed(nominal)),
        ):
            market = self._market(pool, asset, place)
            if market is not None:
                self._storage.write((ASSET_CONFIG, pool, asset), place, change(market))
        for key in ((POSITION, pool, collateral, debt, user), (PAIRS, pool, collateral, debt)):
            held = self._storage.read(key, place, [0, 0])
            self._storage.write(key, place, [held[0] + shares, held[1] + nominal])

    def _transfer(
        self, v_token: int, keys: Sequence[int], event: types.EmittedEvent, place: Place
    ) -> None:
        sender, recipient = keys
        value = u256s(event.data)[0]
        for holder, moved in ((sender, -value), (recipient, value)):
            key = (BALANCE, v_token, holder) if holder else (SUPPLY, v_token)
            moved = moved if holder else -moved
            self._storage.write(key, place, self._storage.read(key, place, 0) + moved)

    # --- what they answer ---------------------------------------------------------------------

    def _market(self, pool: int, asset: int, place: Place) -> Market | None:
        """An asset's accrued configuration; None in a pool whose class answers nothing."""
        told = self._told.get(("interest_rate_config", pool, asset))
        stored: Market | None = self._storage.read((ASSET_CONFIG, pool, asset), place)
        if stored is None or told is None or isinstance(told, Refused):
            return None
        return stored.accrued(RateModel.of(told), place.time)

    def _answering(self, pool: int, asset: int, place: Place) -> Market:
        market = self._market(pool, asset, place)
        if market is None:
            raise Refused("Contract error", 40)
        return market

    def _standing(self, view: str) -> Callable[[int, Sequence[int], Place], list[int]]:
        def told(contract: int, calldata: Sequence[int], _: Place) -> list[int]:
            answer = self._told.get((view, contract, *calldata))
            if answer is None or isinstance(answer, Refused):
                raise Refused("Contract error", 40)
            return answer

        return told

    def _asset_config(self, pool: int, calldata: Sequence[int], place: Place) -> list[int]:
        return self._answering(pool, calldata[0], place).felts

    def _held(
        self, pool: int, calldata: Sequence[int], place: Place
    ) -> tuple[Market, Market, list[int]]:
        """Both markets of a position, and the four numbers of `position`."""
        collateral, debt = (self._answering(pool, asset, place) for asset in calldata[:2])
        held = self._storage.read((POSITION, pool, *calldata), place, [0, 0])
        return collateral, debt, [*contract_markets.position(collateral, debt, *held)]

    def _position(self, pool: int, calldata: Sequence[int], place: Place) -> list[int]:
        return limbs(*self._held(pool, calldata, place)[2])

    def _collateralization(self, pool: int, calldata: Sequence[int], place: Place) -> list[int]:
        collateral, debt, (_, _, held, owed) = self._held(pool, calldata, place)
        prices = [u256s(self.ask("price", pool, [asset], place)[:2])[0] for asset in calldata[:2]]
        limit = self.ask("pair_config", pool, calldata[:2], place)[0]
        return contract_markets.collateralization(collateral, debt, held, owed, prices, limit)

    def _pairs(self, pool: int, calldata: Sequence[int], place: Place) -> list[int]:
        self._answering(pool, calldata[0], place)
        return limbs(*self._storage.read((PAIRS, pool, *calldata), place, [0, 0]))

    def _balance(self, v_token: int, calldata: Sequence[int], place: Place) -> list[int]:
        return limbs(self._storage.read((BALANCE, v_token, *calldata), place, 0))

    def _supply(self, v_token: int, _: Sequence[int], place: Place) -> list[int]:
        return limbs(self._storage.read((SUPPLY, v_token), place, 0))

    def _worth(self, v_token: int, calldata: Sequence[int], place: Place) -> list[int]:
        market = self._answering(*self._v_tokens[v_token], place)
        return limbs(market.worth(u256s(calldata)[0], up=False))


class _Header(msgspec.Struct):
    timestamp: int


MODIFY_POSITION, TRANSFER = selector.of("ModifyPosition"), selector.of("Transfer")


def _written(main: chain.Branch, pools: set[int]) -> dict[Key, int]:
    """The last recorded block in which a pool stored an asset's configuration."""
    writing = {selector.of(name) for name in WRITING}
    found: dict[Key, int] = {}
    for block in main.blocks.values():
        for event in block.events:
            emitter, keys = int(event.from_address, 16), event.keys
            if emitter in pools and writing.intersection(keys[:2]):
                for felt in (*keys, *event.data[:1]):
                    found[emitter, felt] = block.number
    return found


def _felts(call: chain.Call) -> list[int]:
    return truth.felts(msgspec.json.decode(call.result))


def _i257(felts: Sequence[int]) -> int:
    value = u256s(felts[:2])[0]
    return -value if felts[2] else value
