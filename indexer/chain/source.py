"""The typed RPC client of one endpoint: blocks, events and view calls.

Answers that are combined must come from one source: two nodes may follow two forks, or one may
lag behind the other.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from indexer import errors
from indexer.cairo import selector, view_call
from indexer.chain import failures, pages, probe, rpc, rpc_errors, types, wire

T = TypeVar("T")

BLOCKS_PER_BATCH = 20

BATCHES_AT_ONCE = 4
"""How many batches one call has on their way at once.

The bodies of all of their answers may be in memory together, and each may be as large as
`transport.LARGEST_BODY`.
"""

NO_ENTRYPOINT = int.from_bytes(b"ENTRYPOINT_NOT_FOUND", "big")
"""The felt that some nodes answer for a view that the contract does not have."""


class Source:
    """A probed endpoint."""

    def __init__(self, endpoint: rpc.Endpoint, profile: probe.NodeProfile) -> None:
        self._endpoint = endpoint
        self.name = endpoint.name
        self.profile = profile
        self._newest: types.BlockHeader | None = None

    @property
    def endpoint(self) -> rpc.Endpoint:
        """The JSON-RPC connection."""
        return self._endpoint

    @property
    def most_blocks(self) -> int:
        """How many blocks the endpoint answers events of at once, as far as is known."""
        return self._endpoint.limits.blocks.size

    # --- blocks -----------------------------------------------------------------------

    async def head(self) -> types.BlockHeader:
        """The newest sealed block; NodeUnreachableError while the node has none yet."""
        try:
            self._newest = await self._header("latest")
            return self._newest
        except errors.RpcError as error:
            if error.code not in (rpc_errors.BLOCK_NOT_FOUND, rpc_errors.NO_BLOCKS):
                raise
            raise errors.NodeUnreachableError(
                f"{self.name} has no block yet", kind="lagging"
            ) from None

    def take_head(self, number: int) -> types.BlockHeader | None:
        """The header of this block where it was told as the head last: each is given once.

        It stands for the same header asked now where that is asked again in the end.
        """
        newest, self._newest = self._newest, None
        return newest if newest is not None and newest.number == number else None

    async def header(self, number: int) -> types.BlockHeader | None:
        """A block's header; None where the node has no such block."""
        header = await self._known_header({"block_number": number})
        return None if header is None else self._of_height(number, header)

    async def finalised(self) -> int | None:
        """The newest block accepted on L1; None where the node does not know it."""
        try:
            header = await self._known_header("l1_accepted", is_optional=True)
        except errors.RpcError:
            return None  # RPC 0.8 does not know the tag.
        return None if header is None else header.number

    async def class_hash(self, address: int, block: int | None = None) -> int | None:
        """The class of the contract at an address after a block, or now; None where none stands."""
        question = rpc.Request(
            "starknet_getClassHashAt",
            {
                "block_id": "latest" if block is None else {"block_number": block},
                "contract_address": f"{address:#x}",
            },
            is_optional=True,
        )
        try:
            text: str = wire.decoded(
                wire.text_decoder, await self._endpoint.call(question), question.method
            )
        except errors.RpcError as error:
            if error.code == rpc_errors.CONTRACT_NOT_FOUND:
                return None
            raise
        return int(wire.felt(text), 16)

    async def _known_header(
        self, block_id: Any, is_optional: bool = False
    ) -> types.BlockHeader | None:
        try:
            return await self._header(block_id, is_optional)
        except errors.RpcError as error:
            if error.code == rpc_errors.BLOCK_NOT_FOUND:
                return None
            raise

    async def _header(self, block_id: Any, is_optional: bool = False) -> types.BlockHeader:
        return _read_header(await self._endpoint.call(_header_request(block_id, is_optional)))

    async def headers(self, numbers: Sequence[int]) -> list[types.BlockHeader]:
        """Headers of blocks below a head that the node returned, in the order asked.

        So many as a batch has are asked in one: a URL may be balanced over nodes on several forks.
        """
        return await self._in_batches(numbers, self._some_headers)

    async def _some_headers(self, numbers: Sequence[int]) -> list[types.BlockHeader]:
        answers = await self._endpoint.call_many(
            [_header_request({"block_number": number}) for number in numbers]
        )
        return [self._header_of(*pair) for pair in zip(numbers, answers, strict=True)]

    def _header_of(self, number: int, answer: msgspec.Raw | errors.RpcError) -> types.BlockHeader:
        if isinstance(answer, errors.RpcError):
            if answer.code != rpc_errors.BLOCK_NOT_FOUND:
                raise answer
            raise errors.InconsistentAnswerError(
                f"{self.name} returned a head at or above block {number} and does not know that "
                "block",
                kind="lagging",
            )
        return self._of_height(number, _read_header(answer))

    def _of_height(self, number: int, header: types.BlockHeader) -> types.BlockHeader:
        if header.number != number:
            raise errors.InconsistentAnswerError(
                f"{self.name} answered block {header.number} for {number}", kind="mismatched"
            )
        return header

    async def blocks(
        self, numbers: Sequence[int], with_events: bool = False
    ) -> list[types.BlockWithReceipts]:
        """Blocks with receipts, in the order asked; with the receipts' events on request."""
        return await self._in_batches(numbers, lambda batch: self._some_blocks(batch, with_events))

    async def _in_batches(
        self, numbers: Sequence[int], ask: Callable[[Sequence[int]], Awaitable[list[T]]]
    ) -> list[T]:
        """What `ask` gives for batches of these blocks, in the order asked.

        After the first batch some are asked at once, but one after the other where the endpoint
        has refused a batch: it shows its limit by one of them, not by each.
        """
        found: list[T] = []
        waiting = [
            numbers[start : start + BLOCKS_PER_BATCH]
            for start in range(0, len(numbers), BLOCKS_PER_BATCH)
        ]
        while waiting:
            is_alone = not found or self._endpoint.limits.batch.is_known
            at_once = waiting[: 1 if is_alone else BATCHES_AT_ONCE]
            waiting = waiting[len(at_once) :]
            answers = await rpc.gather(
                failures.retry_while_lagging(self.name, functools.partial(ask, batch))
                for batch in at_once
            )
            found += [answer for batch in answers for answer in batch]
        return found

    async def _some_blocks(
        self, numbers: Sequence[int], with_events: bool
    ) -> list[types.BlockWithReceipts]:
        answers = await self._endpoint.call_many(
            [
                rpc.Request("starknet_getBlockWithReceipts", {"block_id": {"block_number": number}})
                for number in numbers
            ]
        )
        return [
            self._block(number, answer, with_events)
            for number, answer in zip(numbers, answers, strict=True)
        ]

    def _block(
        self, number: int, answer: msgspec.Raw | errors.RpcError, with_events: bool
    ) -> types.BlockWithReceipts:
        if isinstance(answer, errors.RpcError):
            if answer.code != rpc_errors.BLOCK_NOT_FOUND:
                raise answer
            raise errors.InconsistentAnswerError(
                f"{self.name} returned block {number} before and does not know it now",
                kind="lagging",
            )
        decoder = wire.full_block_decoder if with_events else wire.block_decoder
        block = wire.block(wire.decoded(decoder, answer, "block"))
        self._of_height(number, block.header)
        return block

    # --- events and views -------------------------------------------------------------

    async def events(
        self,
        from_block: int,
        to_block: int,
        addresses: Collection[int],
        most: int | None = None,
        tip_hash: str | None = None,
    ) -> list[types.EmittedEvent]:
        """Every event of these addresses in a closed range, in chain order.

        RangeTooLargeError where the node refuses so many blocks, and RangeTooFullError where there
        are more than `most` events. With `tip_hash` the node that answers a page must know that
        block: a URL may be balanced over several nodes, and one that lags returns no events above
        its head.
        """
        if not addresses:
            return []  # To a node, an empty list means any address.
        events = await pages.read(
            self._endpoint, self.profile, from_block, to_block, sorted(addresses), most, tip_hash
        )
        if self.profile.event_indexes:
            return events
        hashes = {event.block_number: event.block_hash for event in events}
        return await self._from_receipts(hashes, addresses)

    async def _from_receipts(
        self, hashes: Mapping[int, str], addresses: Collection[int]
    ) -> list[types.EmittedEvent]:
        """Events with their indexes, which nodes below RPC 0.10 give through receipts alone."""
        watched = {hex(address) for address in addresses}
        events: list[types.EmittedEvent] = []
        numbers = sorted(hashes)
        for start in range(0, len(numbers), BLOCKS_PER_BATCH):
            part = numbers[start : start + BLOCKS_PER_BATCH]
            for block in await self.blocks(part, with_events=True):
                if block.header.hash != hashes[block.header.number]:
                    raise errors.InconsistentAnswerError(
                        f"{self.name} changed block {block.header.number} while it was read",
                        kind="fork",
                    )
                events += types.events_of(block, watched)
        return events

    async def calls(
        self, calls: Sequence[view_call.ViewCall], hashes: Mapping[int, str]
    ) -> list[list[int] | errors.RpcError]:
        """The results of view calls, in order; a contract's refusal stands in its place.

        `hashes` gives the hash of each call's block, by number. InconsistentAnswerError where
        the node does not know that block: it lags, or the block is gone. RpcError where it
        refuses the request itself.
        """
        return await failures.retry_while_lagging(
            self.name, functools.partial(self._calls, calls, hashes)
        )

    async def _calls(
        self, calls: Sequence[view_call.ViewCall], hashes: Mapping[int, str]
    ) -> list[list[int] | errors.RpcError]:
        answers = await self._endpoint.call_many(
            [_call_request(call, hashes[call.block_number]) for call in calls]
        )
        return [self._view(answer) for answer in answers]

    def _view(self, answer: msgspec.Raw | errors.RpcError) -> list[int] | errors.RpcError:
        if isinstance(answer, errors.RpcError):
            if answer.code in rpc_errors.VIEW_REFUSALS:
                return answer
            if answer.code == rpc_errors.BLOCK_NOT_FOUND:
                raise errors.InconsistentAnswerError(
                    f"{self.name} does not know the block at which a view was asked",
                    kind="lagging",
                )
            raise answer
        found = wire.decoded(wire.felts_decoder, answer, "view answer")
        felts = [int(wire.felt(felt), 16) for felt in found]
        if felts == [NO_ENTRYPOINT]:
            return errors.RpcError(
                f"{self.name}: the contract has no such entry point",
                rpc_errors.ENTRYPOINT_NOT_FOUND,
            )
        return felts


def _header_request(block_id: Any, is_optional: bool = False) -> rpc.Request:
    params = {"block_id": block_id}
    return rpc.Request("starknet_getBlockWithTxHashes", params, is_optional=is_optional)


def _read_header(raw: msgspec.Raw) -> types.BlockHeader:
    return wire.header(wire.decoded(wire.header_decoder, raw, "block header"))


def _call_request(call: view_call.ViewCall, block_hash: str) -> rpc.Request:
    return rpc.Request(
        "starknet_call",
        {
            "request": {
                "contract_address": hex(call.contract),
                "entry_point_selector": hex(selector.of(call.view)),
                "calldata": [hex(felt) for felt in call.calldata],
            },
            "block_id": {"block_hash": block_hash},
        },
    )
