"""A tiny Starknet node over real HTTP, for the tests of the chain room: it obeys and it fails."""

from __future__ import annotations

import collections
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from indexer.chain import client, probe, rpc

MAIN = "0x534e5f4d41494e"
SEPOLIA = "0x534e5f5345504f4c4941"
QUICK = rpc.NodeSettings(
    request_timeout_seconds=5, max_requests_per_second=10_000, attempts=3, first_pause=0.001
)

Fault = Callable[[web.Request, Any], web.StreamResponse | None]
"""Answers an HTTP request in its own way, or passes with None."""


class Said(msgspec.Struct, frozen=True):
    """An event of the invented chain: by which address, in which transaction of its block."""

    transaction: int
    index: int
    address: int
    data: tuple[int, ...] = ()


class RpcRefusal(Exception):  # noqa: N818 - an answer, not a failure of the test
    """Answered as a JSON-RPC error."""

    def __init__(self, code: int, message: str = "no", data: Any = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message}
        if data is not None:
            self.error["data"] = data


class FakeNode:
    """Serves an invented chain. Its fields may be changed between requests."""

    def __init__(self, events: dict[int, list[Said]] | None = None, head: int = 9) -> None:
        self.url = ""
        self.reset(events, head)

    def reset(self, events: dict[int, list[Said]] | None, head: int) -> None:
        """As new, with these events by block, in chain order; keeps serving where it serves."""
        self.events = events or {}
        self.head = head
        self.fork = dict.fromkeys(range(head + 1), 0)
        self.spec = "0.10.2"
        self.chain = MAIN
        self.page = 1_000
        self.scan = 1_000_000
        self.reverse_batches = False
        self.faults: collections.deque[Fault] = collections.deque()
        self.refuse: Callable[[str, Any], None] = lambda method, params: None
        self.changed: Callable[[str, Any, Any], Any] = lambda method, params, result: result
        self.asked: list[tuple[str, Any]] = []
        self.posts = 0

    # --- the chain --------------------------------------------------------------------

    def hash(self, number: int) -> str:
        """A block's hash; tells its fork."""
        return hex((self.fork.get(number, 0) + 1) * 0x1000000 + number + 1)

    def keys(self, *addresses: int) -> list[tuple[int, int, int]]:
        """The keys of the events of these addresses up to the head, in chain order."""
        return [
            (number, said.transaction, said.index)
            for number in range(self.head + 1)
            for said in self.events.get(number, [])
            if said.address in addresses
        ]

    def _header(self, block_id: Any) -> dict[str, Any]:
        number = self.head if block_id == "latest" else None
        if block_id == "l1_accepted":
            number = max(self.head - 5, 0)
        if isinstance(block_id, dict):
            number = block_id["block_number"]
        if number is None:
            raise RpcRefusal(-32602, "Invalid params")
        if not 0 <= number <= self.head:
            raise RpcRefusal(24, "Block not found")
        return {
            "block_hash": self.hash(number),
            "parent_hash": self.hash(number - 1),
            "block_number": number,
            "timestamp": 1_700_000_000 + number,
            "status": "ACCEPTED_ON_L2",
            "starknet_version": "0.13.1",
            "unknown_field": [None],
            "transactions": [],
        }

    def _with_receipts(self, block_id: Any) -> dict[str, Any]:
        header = self._header(block_id)
        number = header["block_number"]
        said = self.events.get(number, [])
        count = max((one.transaction for one in said), default=-1) + 1
        receipts = [
            {
                "transaction_hash": _transaction_hash(number, index),
                "actual_fee": {"amount": "0x10", "unit": "FRI"},
                "execution_status": "SUCCEEDED",
                "events": _in_receipt([one for one in said if one.transaction == index]),
            }
            for index in range(count)
        ]
        return header | {"transactions": [{"transaction": {}, "receipt": one} for one in receipts]}

    def _transaction_count(self, block_id: Any) -> int:
        if block_id["block_hash"] not in map(self.hash, range(self.head + 1)):
            raise RpcRefusal(24, "Block not found")
        return 1

    def _get_events(self, filter_: dict[str, Any]) -> dict[str, Any]:
        """Tokens are "<block>-<matching events of it that were told>", as pathfinder's."""
        first = filter_["from_block"]["block_number"]
        last = min(filter_["to_block"]["block_number"], self.head)
        address = filter_["address"]
        if isinstance(address, list) and not at_least(self.spec, 0, 10, 1):
            raise RpcRefusal(-32602, "Invalid params")
        wanted = {int(one, 16) for one in (address if isinstance(address, list) else [address])}
        number, skip = first, 0
        if "continuation_token" in filter_:
            number, skip = (int(part) for part in filter_["continuation_token"].split("-"))
        limit = min(self.page, filter_["chunk_size"])
        found: list[dict[str, Any]] = []
        for scanned, block in enumerate(range(number, last + 1)):
            if scanned == self.scan:
                return {"events": found, "continuation_token": f"{block}-0"}
            matching = [said for said in self.events.get(block, []) if said.address in wanted]
            for told, said in enumerate(matching):
                if block == number and told < skip:
                    continue
                if len(found) == limit:
                    return {"events": found, "continuation_token": f"{block}-{told}"}
                found.append(self._emitted(block, said))
        return {"events": found}

    def _emitted(self, number: int, said: Said) -> dict[str, Any]:
        event = _body(said) | {
            "block_hash": self.hash(number),
            "block_number": number,
            "transaction_hash": _transaction_hash(number, said.transaction),
        }
        if at_least(self.spec, 0, 10, 0):
            event |= {"transaction_index": said.transaction, "event_index": said.index}
        return event

    # --- HTTP -------------------------------------------------------------------------

    def _result(self, method: str, params: Any) -> Any:
        if method == "starknet_specVersion":
            return self.spec
        if method == "starknet_chainId":
            return self.chain
        if method == "starknet_getBlockWithTxHashes":
            return self._header(params["block_id"])
        if method == "starknet_getBlockWithReceipts":
            return self._with_receipts(params["block_id"])
        if method == "starknet_getBlockTransactionCount":
            return self._transaction_count(params["block_id"])
        if method == "starknet_getEvents":
            return self._get_events(params["filter"])
        if method == "starknet_call":
            return ["0x1", params["request"]["contract_address"]]
        raise RpcRefusal(-32601, "Method not found")

    def answer(self, call: Any) -> dict[str, Any]:
        """The answer to one call, right or refused."""
        method, params = call["method"], call["params"]
        self.asked.append((method, params))
        try:
            self.refuse(method, params)
            result = self.changed(method, params, self._result(method, params))
        except RpcRefusal as refusal:
            return {"jsonrpc": "2.0", "id": call["id"], "error": refusal.error}
        return {"jsonrpc": "2.0", "id": call["id"], "result": result}

    async def _post(self, request: web.Request) -> web.StreamResponse:
        message = json.loads(await request.read())
        self.posts += 1
        if self.faults:
            broken = self.faults.popleft()(request, message)
            if broken is not None:
                return broken
        if isinstance(message, dict):
            return web.json_response(self.answer(message))
        answers = [self.answer(call) for call in message]
        return web.json_response(answers[::-1] if self.reverse_batches else answers)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeNode]:
        """Listening on a free port of the loopback interface while inside."""
        app = web.Application()
        app.router.add_post("/{path:.*}", self._post)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


def at_least(spec: str, *version: int) -> bool:
    """Whether a spec version, pre-releases included, is this one or a later one."""
    return tuple(int(part) for part in spec.partition("-")[0].split(".")) >= version


def _transaction_hash(number: int, index: int) -> str:
    return hex(0xABC0000 + number * 1_000 + index)


def _body(said: Said) -> dict[str, Any]:
    return {
        "from_address": hex(said.address),
        "keys": [hex(0x5E1EC), "0x0"],
        "data": [hex(felt) for felt in said.data],
    }


def _in_receipt(said: Sequence[Said]) -> list[dict[str, Any]]:
    """A receipt's events; where an index was left out, somebody else's event stands."""
    count = max((one.index for one in said), default=-1) + 1
    by_index = {one.index: one for one in said}
    return [_body(by_index.get(index, Said(0, index, 0xE15E))) for index in range(count)]


@contextlib.asynccontextmanager
async def endpoint(
    node: FakeNode, settings: rpc.NodeSettings = QUICK, path: str = "/rpc/v0_10"
) -> AsyncIterator[rpc.Endpoint]:
    """An endpoint of ours for a serving fake node."""
    made = rpc.Endpoint(node.url + path, settings)
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def connected(
    *nodes: FakeNode, settings: rpc.NodeSettings = QUICK
) -> AsyncIterator[client.StarknetNode]:
    """A StarknetNode over serving fake nodes, the first preferred."""
    made = await client.connect([node.url for node in nodes], int(MAIN, 16), settings)
    try:
        yield made
    finally:
        await made.close()


def profile(spec: str) -> probe.NodeProfile:
    """What a node of this version can do."""
    return probe.NodeProfile(
        "fake", spec, MAIN, at_least(spec, 0, 10, 1), at_least(spec, 0, 10, 0), batches=True
    )
