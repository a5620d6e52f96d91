"""The node as the rest of the indexer sees it: several endpoints in order, one in use.

A range is read from one source as a whole (`source`), and whoever reads it says when that
source failed (`fail_over`). The head and views at a block hash may come from any endpoint, so
asking for them goes to the next one by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from indexer import errors
from indexer.chain import probe, rpc, types
from indexer.chain import source as sources

log = structlog.get_logger(__name__)

NodeSettings = rpc.NodeSettings
ViewCall = sources.ViewCall

T = TypeVar("T")


class StarknetNode:
    """A node with at least one endpoint that probed well; made by `connect`."""

    def __init__(
        self, endpoints: Sequence[rpc.Endpoint], current: int, profile: probe.NodeProfile
    ) -> None:
        self._endpoints = list(endpoints)
        self._current = current
        self._source = sources.Source(endpoints[current], profile)
        self._moving = asyncio.Lock()

    @property
    def profile(self) -> probe.NodeProfile:
        """What the endpoint in use can do."""
        return self._source.profile

    @property
    def source(self) -> sources.Source:
        """The endpoint in use; it stays the same one for whoever holds it."""
        return self._source

    async def close(self) -> None:
        """Close the connections of every endpoint."""
        for endpoint in self._endpoints:
            await endpoint.close()

    async def fail_over(self, failed: sources.Source) -> bool:
        """Leave a source for the next endpoint that probes well; False where there is none.

        True also where somebody else has left it already.
        """
        async with self._moving:
            if failed is not self._source:
                return True
            for step in range(1, len(self._endpoints)):
                index = (self._current + step) % len(self._endpoints)
                if await self._moved(index):
                    log.warning("failed_over", to=self._source.name, of=failed.name)
                    return True
        return False

    async def _moved(self, index: int) -> bool:
        endpoint = self._endpoints[index]
        try:
            profile = await probe.probe(endpoint, int(self.profile.chain_id, 16))
        except errors.NodeError as error:
            log.warning("endpoint_unfit", endpoint=endpoint.name, reason=str(error))
            return False
        self._current, self._source = index, sources.Source(endpoint, profile)
        return True

    async def _somewhere(self, question: Callable[[sources.Source], Awaitable[T]]) -> T:
        """The answer of the first endpoint that gives one, beginning with the one in use."""
        for _ in self._endpoints[1:]:
            asked = self._source
            try:
                return await question(asked)
            except errors.NodeError as error:
                log.warning("question_failed", endpoint=asked.name, reason=str(error))
                if not await self.fail_over(asked):
                    raise
        return await question(self._source)

    async def head(self) -> types.BlockHeader:
        """The newest sealed block."""
        return await self._somewhere(lambda asked: asked.head())

    async def header(self, number: int) -> types.BlockHeader | None:
        """A block's header; None where the node has no such block."""
        return await self._source.header(number)

    async def finalised(self) -> int | None:
        """The newest block accepted on L1; None where the node does not say."""
        try:
            return await self._source.finalised()
        except errors.RetryableNodeError as error:
            # Indexing never waits for finality.
            log.info("finality_unknown", reason=str(error))
            return None

    async def call(self, asked: ViewCall) -> list[int]:
        """A view's answer; RpcError where the contract refuses."""
        (answer,) = await self.calls([asked])
        if isinstance(answer, errors.RpcError):
            raise answer
        return answer

    async def calls(self, asked: Sequence[ViewCall]) -> list[list[int] | errors.RpcError]:
        """Answers of views in the order asked; a contract's refusal stands in its place."""
        return await self._somewhere(lambda chosen: chosen.calls(asked))


async def connect(
    urls: Sequence[str], chain_id: int | None, settings: rpc.NodeSettings
) -> StarknetNode:
    """The first of these URLs that probes well; raises the first's trouble where none does."""
    endpoints = [rpc.Endpoint(url, settings) for url in urls]
    troubles: list[errors.NodeError] = []
    try:
        for index, endpoint in enumerate(endpoints):
            try:
                profile = await probe.probe(endpoint, chain_id)
            except errors.NodeError as error:
                if len(endpoints) > 1:  # a single one's trouble is the error itself
                    log.warning("endpoint_unfit", endpoint=endpoint.name, reason=str(error))
                troubles.append(error)
                continue
            return StarknetNode(endpoints, index, profile)
    except BaseException:
        await _close(endpoints)
        raise
    await _close(endpoints)
    raise troubles[0]


async def _close(endpoints: Sequence[rpc.Endpoint]) -> None:
    for endpoint in endpoints:
        await endpoint.close()
