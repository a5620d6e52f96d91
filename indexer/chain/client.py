"""The node as the rest of the indexer sees it: typed questions, typed answers, fail-over.

Several URLs are tried in order. The one in use changes only between ranges, never inside one:
`fail_over` is the reader's to call.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import structlog

from indexer import errors
from indexer.chain import pages, probe, rpc, types, wire

log = structlog.get_logger(__name__)

NodeSettings = rpc.NodeSettings

BLOCK_NOT_FOUND = 24
BLOCKS_PER_BATCH = 20


class ViewCall(msgspec.Struct, frozen=True):
    """A question to a contract's view, at the state after the block with this hash."""

    contract: int
    selector: int
    calldata: tuple[int, ...]
    block_hash: str


class StarknetNode:
    """A probed node; made by `connect`."""

    def __init__(
        self, endpoints: Sequence[rpc.Endpoint], current: int, profile: probe.NodeProfile
    ) -> None:
        self._endpoints = list(endpoints)
        self._current = current
        self.profile = profile

    @property
    def _endpoint(self) -> rpc.Endpoint:
        return self._endpoints[self._current]

    async def close(self) -> None:
        """Close the connections of every endpoint."""
        for endpoint in self._endpoints:
            await endpoint.close()

    async def fail_over(self) -> None:
        """Go to the next endpoint that probes well; stays where there is none."""
        chain = int(self.profile.chain_id, 16)
        for step in range(1, len(self._endpoints)):
            index = (self._current + step) % len(self._endpoints)
            try:
                profile = await probe.probe(self._endpoints[index], chain)
            except errors.NodeError as error:
                log.warning(
                    "endpoint_unfit", endpoint=self._endpoints[index].name, reason=str(error)
                )
                continue
            log.warning("failed_over", to=profile.endpoint, of=self._endpoint.name)
            self._current, self.profile = index, profile
            return

    # --- blocks -----------------------------------------------------------------------

    async def head(self) -> types.BlockHeader:
        """The newest sealed block."""
        return await self._header("latest")

    async def header(self, number: int) -> types.BlockHeader | None:
        """A block's header; None where the node has no such block."""
        return await self._known_header({"block_number": number})

    async def finalised(self) -> int | None:
        """The newest block accepted on L1; None where the node does not say."""
        try:
            header = await self._known_header("l1_accepted")
        except errors.RpcError:
            return None  # RPC 0.8 does not know the tag.
        return None if header is None else header.number

    async def _known_header(self, block_id: Any) -> types.BlockHeader | None:
        try:
            return await self._header(block_id)
        except errors.RpcError as error:
            if error.code == BLOCK_NOT_FOUND:
                return None
            raise

    async def _header(self, block_id: Any) -> types.BlockHeader:
        raw = await self._endpoint.call(
            rpc.Request("starknet_getBlockWithTxHashes", {"block_id": block_id})
        )
        return wire.header(wire.decoded(wire.header_decoder, raw, "block header"))

    async def blocks(
        self, numbers: Sequence[int], with_events: bool = False
    ) -> list[types.BlockWithReceipts]:
        """Blocks with receipts, in the order asked; with the receipts' events on request."""
        found: list[types.BlockWithReceipts] = []
        for start in range(0, len(numbers), BLOCKS_PER_BATCH):
            part = numbers[start : start + BLOCKS_PER_BATCH]
            found += await self._some_blocks(part, with_events)
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
        decoder = wire.full_block_decoder if with_events else wire.block_decoder
        blocks = []
        for number, answer in zip(numbers, answers, strict=True):
            if isinstance(answer, errors.RpcError):
                if answer.code != BLOCK_NOT_FOUND:
                    raise answer
                raise errors.InconsistentAnswerError(
                    f"{self._endpoint.name} told events of block {number} and does not know it"
                )
            block = wire.block(wire.decoded(decoder, answer, "block"))
            if block.header.number != number:
                raise errors.InconsistentAnswerError(
                    f"{self._endpoint.name} answered block {block.header.number} for {number}"
                )
            blocks.append(block)
        return blocks

    # --- events and views -------------------------------------------------------------

    async def events(
        self, from_block: int, to_block: int, addresses: Collection[int]
    ) -> list[types.EmittedEvent]:
        """Every event of these addresses in a closed range, in chain order.

        RangeTooLargeError where the node wants to be asked for less.
        """
        found = await pages.read(
            self._endpoint, self.profile, from_block, to_block, sorted(addresses)
        )
        if self.profile.event_indexes:
            return found
        return await self._from_receipts({event.block_number for event in found}, addresses)

    async def _from_receipts(
        self, numbers: Collection[int], addresses: Collection[int]
    ) -> list[types.EmittedEvent]:
        """Events with their indexes, which nodes below RPC 0.10 tell only through receipts."""
        wanted = {hex(address) for address in addresses}
        return [
            types.EmittedEvent(
                block.header.number,
                receipt.transaction_index,
                index,
                block.header.hash,
                receipt.transaction_hash,
                event.from_address,
                event.keys,
                event.data,
            )
            for block in await self.blocks(sorted(numbers), with_events=True)
            for receipt in block.receipts
            for index, event in enumerate(receipt.events)
            if event.from_address in wanted
        ]

    async def call(self, asked: ViewCall) -> list[int]:
        """A view's answer; RpcError where the contract refuses."""
        (answer,) = await self.calls([asked])
        if isinstance(answer, errors.RpcError):
            raise answer
        return answer

    async def calls(self, asked: Sequence[ViewCall]) -> list[list[int] | errors.RpcError]:
        """Answers of views in the order asked; a contract's refusal stands in its place."""
        answers = await self._endpoint.call_many([_call_request(one) for one in asked])
        return [
            answer
            if isinstance(answer, errors.RpcError)
            else [
                int(wire.felt(felt), 16)
                for felt in wire.decoded(wire.felts_decoder, answer, "view answer")
            ]
            for answer in answers
        ]


def _call_request(asked: ViewCall) -> rpc.Request:
    return rpc.Request(
        "starknet_call",
        {
            "request": {
                "contract_address": hex(asked.contract),
                "entry_point_selector": hex(asked.selector),
                "calldata": [hex(felt) for felt in asked.calldata],
            },
            "block_id": {"block_hash": asked.block_hash},
        },
    )


async def connect(
    urls: Sequence[str], chain_id: int | None, settings: rpc.NodeSettings
) -> StarknetNode:
    """The first of these URLs that probes well; raises the first's trouble where none does."""
    endpoints = [rpc.Endpoint(url, settings) for url in urls]
    troubles: list[errors.NodeError] = []
    for index, endpoint in enumerate(endpoints):
        try:
            profile = await probe.probe(endpoint, chain_id)
        except errors.NodeError as error:
            log.warning("endpoint_unfit", endpoint=endpoint.name, reason=str(error))
            troubles.append(error)
            continue
        return StarknetNode(endpoints, index, profile)
    for endpoint in endpoints:
        await endpoint.close()
    raise troubles[0]
