"""A dense chain for measuring: devnet-a, and on top of it as many invented blocks as asked for.

The same seed gives the same chain. Every invented transaction emits what a real one emits, in
the real order: UpdateContext and ModifyPosition, with a vToken's Transfer and Deposit or
Withdraw where somebody earns. Deltas fit together, so the fold accepts them; rates and prices
stand still at their last recorded values. Headers carry the true event
commitment.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from indexer.cairo import selector
from indexer.chain import commitment, types
from indexer.recording import chain as recordings

SEED = 20_260_101
BLOCK_EVENTS = 100
SECONDS_PER_BLOCK = 30
USERS = 5_000
FEW_USERS = 40
SIZE_OF_CONFIG = 22
LAST_UPDATED = 13

NOTHING: dict[str, Any] = {
    "transaction_count": 0,
    "event_count": 0,
    "event_commitment": "0x0",
    "transactions": [],
}
"""What the header and body of a block without transactions say."""

Event = tuple[int, list[int], list[int]]
"""Emitter, keys and data."""


class Market:
    """A pair of a pool: its last UpdateContext, and the vToken of its collateral."""

    def __init__(self, pool: int, collateral: int, debt: int, v_token: int | None) -> None:
        self.pool, self.collateral, self.debt, self.v_token = pool, collateral, debt, v_token
        self.prices: list[int] = []
        self.lent: dict[int, tuple[int, int]] = {}
        self.earned: dict[int, int] = {}


class Actors:
    """Invented users who open, close, deposit, withdraw and transfer, by a seeded dice."""

    def __init__(self, folder: Path, seed: int, users: int = USERS) -> None:
        self._dice = random.Random(seed)
        self._configs: dict[tuple[int, int], list[int]] = {}
        self._markets = self._read_markets(folder)
        self._users = [self._dice.getrandbits(250) for _ in range(users)]

    def reseed(self, seed: int) -> None:
        """Go another way from here on."""
        self._dice.seed(seed)

    def transaction(self, timestamp: int) -> list[Event]:
        """Events of Vesu's contracts in one transaction, in the contracts' order."""
        market = self._dice.choice(self._markets)
        user = self._dice.choice(self._users)
        dice = self._dice.random()
        if market.v_token is None or dice < 0.5:
            return self._borrow(market, user, timestamp)
        if dice < 0.9 or not market.earned:
            return self._earn(market, market.v_token, user, timestamp)
        return self._transfer(market, market.v_token, user)

    def _borrow(self, market: Market, user: int, timestamp: int) -> list[Event]:
        """Open a position, or close the one that is open."""
        held = market.lent.pop(user, None)
        if held is None:
            supplied = self._dice.randrange(10**6, 10**12)
            market.lent[user] = supplied, supplied // 3
            return self._modify(market, user, supplied, supplied // 3, timestamp)
        return self._modify(market, user, -held[0], -held[1], timestamp)

    def _earn(self, market: Market, v_token: int, user: int, timestamp: int) -> list[Event]:
        """Deposit, or withdraw what was deposited."""
        held = market.earned.pop(user, 0)
        if held:
            delta, (sender, recipient), name = -held, (user, 0), "Withdraw"
            keys = [selector.of(name), user, user, user]
        else:
            delta, (sender, recipient), name = self._dice.randrange(10**6, 10**12), (0, user), ""
            market.earned[user] = delta
            keys = [selector.of("Deposit"), user, user]
        amount = [*_u256(abs(delta)), *_u256(abs(delta))]
        return [
            *self._modify(market, v_token, delta, 0, timestamp),
            _moved(v_token, sender, recipient, abs(delta)),
            (v_token, keys, amount),
        ]

    def _transfer(self, market: Market, v_token: int, user: int) -> list[Event]:
        sender = self._dice.choice(list(market.earned)[:50])
        value = market.earned.pop(sender)
        market.earned[user] = market.earned.get(user, 0) + value
        return [_moved(v_token, sender, user, value)]

    def _modify(
        self, market: Market, user: int, shares: int, nominal: int, timestamp: int
    ) -> list[Event]:
        pool = market.pool
        sides = [self._configs[pool, market.collateral], self._configs[pool, market.debt]]
        _add(sides[0], 0, shares)
        _add(sides[0], 4, shares)
        _add(sides[1], 2, nominal)
        for side in sides:
            side[LAST_UPDATED] = timestamp
        deltas = [felt for delta in (shares, shares, nominal, nominal) for felt in _i257(delta)]
        pair = [market.collateral, market.debt]
        return [
            (
                pool,
                [selector.of("UpdateContext"), *pair],
                [*sides[0], *sides[1], *market.prices],
            ),
            (pool, [selector.of("ModifyPosition"), *pair, user], deltas),
        ]

    def _read_markets(self, folder: Path) -> list[Market]:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        v_tokens = {
            tuple(int(one[name], 16) for name in ("pool", "asset", "debt_asset")): int(
                one["address"], 16
            )
            for one in manifest["v_tokens"]
        }
        pools = {int(pool["address"], 16) for pool in manifest["pools"].values()}
        markets: dict[tuple[int, int, int], Market] = {}
        for event in _lines(folder / "events.jsonl.gz"):
            keys = [int(key, 16) for key in event["keys"]]
            emitter = int(event["from_address"], 16)
            if emitter not in pools or keys[0] != selector.of("UpdateContext"):
                continue
            key = (emitter, keys[1], keys[2])
            market = markets.setdefault(key, Market(*key, v_tokens.get(key)))
            data = [int(felt, 16) for felt in event["data"]]
            self._configs[emitter, keys[1]] = data[:SIZE_OF_CONFIG]
            self._configs[emitter, keys[2]] = data[SIZE_OF_CONFIG : 2 * SIZE_OF_CONFIG]
            market.prices = data[2 * SIZE_OF_CONFIG :]
        return list(markets.values())


def build(
    folder: Path,
    events: int,
    seed: int = SEED,
    block_events: int = BLOCK_EVENTS,
    empty_blocks: int = 0,
) -> int:
    """Write a recording of devnet-a and `events` more of Vesu's events; returns its head.

    `empty_blocks` blocks without events follow each block with events.
    """
    recorded, told = _begin(folder)
    actors = Actors(recordings.bundled(), seed)
    with _Branch(folder) as branch:
        branch.copy(recorded, told)
        invented = _invent(actors, recorded[-1], block_events, empty_blocks=empty_blocks)
        return branch.grow(invented, events)


def build_fork(
    folder: Path, events: int, depth: int, seed: int = SEED, block_events: int = BLOCK_EVENTS
) -> int:
    """As `build`, without commitments, and then two branches of `depth` blocks, as dense.

    Returns the number of the last block that both share; the head is `depth` blocks above it.
    """
    recorded, told = _begin(folder)
    actors = Actors(recordings.bundled(), seed)
    fork = folder / "forks" / "1"
    fork.mkdir(parents=True)
    shutil.copy(folder / "calls.jsonl.gz", fork / "calls.jsonl.gz")
    with _Branch(folder) as main, _Branch(fork) as branch:
        main.copy(recorded, told)
        main.grow(_invent(actors, recorded[-1], block_events, proved=False), events)
        last, others = main.last, copy.deepcopy(actors)
        others.reseed(seed + 1)
        for _ in range(depth):
            main.grow(_invent(actors, main.last, block_events, proved=False), 1)
            below = branch.last or last
            branch.grow(_invent(others, below, block_events, proved=False, salt="fork"), 1)
    common = int(last["block_number"])
    (fork / "abort.json").write_text(json.dumps({"common_block_number": common}), "utf-8")
    return common


def build_story(
    folder: Path, blocks: int, fork_every: int, depth: int, seed: int = SEED, block_events: int = 3
) -> int:
    """As `build`, with `blocks` more blocks and again and again a fork; returns its head.

    Few users, so that soon as many positions are closed as are opened.
    """
    recorded, told = _begin(folder)
    actors = Actors(recordings.bundled(), seed, users=FEW_USERS)
    with _Branch(folder) as main:
        main.copy(recorded, told)
        for made in range(blocks):
            if made % fork_every == 0:
                _fork(folder / "forks" / str(made // fork_every + 1), main.last, actors, depth)
            main.grow(_invent(actors, main.last, block_events), 1)
        return int(main.last["block_number"])


def _fork(folder: Path, common: dict[str, Any], actors: Actors, depth: int) -> None:
    """A branch that leaves the main one above `common`."""
    folder.mkdir(parents=True)
    others = copy.deepcopy(actors)
    others.reseed(int(folder.name))
    gzip.open(folder / "calls.jsonl.gz", "wt").close()
    with _Branch(folder) as branch:
        branch.last = common
        for _ in range(depth):
            branch.grow(_invent(others, branch.last, 3, salt=f"fork {folder.name}"), 1)
    abort = {"common_block_number": common["block_number"]}
    (folder / "abort.json").write_text(json.dumps(abort), "utf-8")


def _begin(folder: Path) -> tuple[list[dict[str, Any]], Iterator[dict[str, Any]]]:
    """A folder with what devnet-a says besides blocks and events, which are returned."""
    source = recordings.bundled()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("calls.jsonl.gz", "manifest.json"):
        shutil.copy(source / name, folder / name)
    return list(_lines(source / "blocks.jsonl.gz")), _lines(source / "events.jsonl.gz")


class _Branch:
    """Writes a branch's blocks and events; `last` is its last block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = contextlib.ExitStack()
        self.last: dict[str, Any] = {}

    def __enter__(self) -> _Branch:
        opened = self._files.enter_context
        self._blocks = opened(gzip.open(self._folder / "blocks.jsonl.gz", "wt", 1))
        self._events = opened(gzip.open(self._folder / "events.jsonl.gz", "wt", 1))
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def copy(self, blocks: list[dict[str, Any]], events: Iterator[dict[str, Any]]) -> None:
        """Take over what was recorded."""
        self._blocks.writelines(_line(block) for block in blocks)
        self._events.writelines(_line(event) for event in events)
        self.last = blocks[-1]

    def grow(
        self, invented: Iterator[tuple[dict[str, Any], list[dict[str, Any]], int]], events: int
    ) -> int:
        """Add blocks until so many events of Vesu's are in them; returns the head."""
        made = 0
        for block, emitted, ours in invented:
            self._blocks.write(_line(block))
            self._events.writelines(_line(event) for event in emitted)
            self.last = block
            made += ours
            if made >= events:
                return int(block["block_number"])
        raise AssertionError("the invented chain has no end")


def _invent(
    actors: Actors,
    last: dict[str, Any],
    block_events: int,
    proved: bool = True,
    salt: str = "",
    empty_blocks: int = 0,
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], int]]:
    """Block after block above `last`: the block, its events, and how many of them are Vesu's."""
    template = last["transactions"][0]
    header = last
    fee = template["receipt"]["events"][-1]
    while True:
        header = _next_header(header, salt)
        number = header["block_number"]
        transactions: list[dict[str, Any]] = []
        emitted: list[dict[str, Any]] = []
        ours = 0
        while ours < block_events:
            inside = [_event(*event) for event in actors.transaction(header["timestamp"])]
            ours += len(inside)
            transaction = copy.deepcopy(template)
            receipt = transaction["receipt"]
            receipt["transaction_hash"] = _hash(
                "transaction", number, len(transactions), *salt.split()
            )
            receipt["events"] = [*inside, fee]
            emitted += [
                event
                | {
                    "block_hash": header["block_hash"],
                    "block_number": number,
                    "transaction_hash": receipt["transaction_hash"],
                    "transaction_index": len(transactions),
                    "event_index": index,
                }
                for index, event in enumerate(receipt["events"])
            ]
            transactions.append(transaction)
        told = {
            "transaction_count": len(transactions),
            "event_count": len(emitted),
            "event_commitment": _commitment(transactions) if proved else "0x0",
            "transactions": transactions,
        }
        yield header | told, emitted, ours
        for _ in range(empty_blocks):
            header = _next_header(header, salt)
            yield header | NOTHING, [], 0


def _next_header(below: dict[str, Any], salt: str) -> dict[str, Any]:
    number = below["block_number"] + 1
    return below | {
        "block_number": number,
        "parent_hash": below["block_hash"],
        "block_hash": _hash("block", number, *salt.split()),
        "timestamp": below["timestamp"] + SECONDS_PER_BLOCK,
    }


def _commitment(transactions: list[dict[str, Any]]) -> str:
    receipts = [
        types.Receipt(
            item["receipt"]["transaction_hash"],
            index,
            0,
            "FRI",
            "SUCCEEDED",
            [types.ReceiptEvent(**event) for event in item["receipt"]["events"]],
        )
        for index, item in enumerate(transactions)
    ]
    return hex(commitment.of_block(receipts))


def _moved(v_token: int, sender: int, recipient: int, value: int) -> Event:
    return v_token, [selector.of("Transfer"), sender, recipient], _u256(value)


def _event(emitter: int, keys: list[int], data: list[int]) -> dict[str, Any]:
    return {
        "from_address": hex(emitter),
        "keys": [hex(felt) for felt in keys],
        "data": [hex(felt) for felt in data],
    }


def _u256(value: int) -> list[int]:
    return [value & (2**128 - 1), value >> 128]


def _i257(value: int) -> list[int]:
    return [*_u256(abs(value)), int(value < 0)]


def _add(config: list[int], at: int, delta: int) -> None:
    """Change a u256 inside a configuration."""
    config[at : at + 2] = _u256(config[at] + (config[at + 1] << 128) + delta)


def _hash(*parts: object) -> str:
    text = "/".join(map(str, parts))
    return hex(int.from_bytes(hashlib.sha256(text.encode()).digest()[:31], "big"))


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)
