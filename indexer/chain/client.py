"""The node as the rest of the indexer sees it: several endpoints in order, one in use.

A range is read from one source as a whole (`source`), and whoever reads it says when that
source failed (`fail_over`). The head and views at a block hash may come from any endpoint, so
asking for them goes to the next one by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from indexer import errors
from indexer.chain import follower, probe, rpc, troubles, types
from indexer.chain import source as sources

log = structlog.get_logger(__name__)

NodeSettings = rpc.NodeSettings
ViewCall = sources.ViewCall

T = TypeVar("T")
_Probe = Callable[[rpc.Endpoint, int | None], Awaitable[probe.NodeProfile]]

BRIEF_SECONDS = 2.0
"""So long an endpoint that was left may take to show that it is well again."""


class StarknetNode:
    """A node with at least one endpoint that probed well; made by `connect`."""

    def __init__(
        self, endpoints: Sequence[rpc.Endpoint], current: int, profile: probe.NodeProfile
    ) -> None:
        self._endpoints = list(endpoints)
        self._current = current
        self._source = sources.Source(endpoints[current], profile)
        self._moving = asyncio.Lock()
        self._probed_at = self._better_asked_at = time.monotonic()

    @property
    def profile(self) -> probe.NodeProfile:
        """What the endpoint in use can do."""
        return self._source.profile

    @property
    def source(self) -> sources.Source:
        """The endpoint in use; it stays the same one for whoever holds it."""
        return self._source

    @property
    def answered_at(self) -> float:
        """When any endpoint last gave the writer a good answer, by the monotonic clock."""
        return max(endpoint.answered_at for endpoint in self._endpoints)

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
        profile = await self._fit(self._endpoints[index], probe.probe)
        if profile is None:
            return False
        self._take(index, profile)
        return True

    async def _fit(self, endpoint: rpc.Endpoint, ask: _Probe) -> probe.NodeProfile | None:
        """What an endpoint says of itself; None, and why in the log, where it is not fit."""
        try:
            return await ask(endpoint, self._chain_id)
        except errors.NodeError as error:
            log.warning("endpoint_unfit", endpoint=endpoint.name, reason=str(error))
            return None

    @property
    def _chain_id(self) -> int:
        return int(self.profile.chain_id, 16)

    def _take(self, index: int, profile: probe.NodeProfile) -> None:
        self._current = index
        self._source = sources.Source(self._endpoints[index], profile)
        self._probed_at = self._better_asked_at = time.monotonic()

    # --- who is asked -----------------------------------------------------------------

    async def probe_again(self, every_seconds: float = 0.0) -> None:
        """Make sure that the endpoint in use still serves our chain by a version we know.

        Asks nothing if it did so less than `every_seconds` ago. An endpoint that became unfit
        or does not answer is left for another; its error is raised where there is none.
        """
        if time.monotonic() - self._probed_at < every_seconds:
            return
        index, asked = self._current, self._source
        try:
            profile = await probe.identify(asked.endpoint, self._chain_id)
        except errors.NodeError as error:
            if not await self.fail_over(asked):
                raise
            troubles.note(asked.name, error, "other_endpoint")
            return
        async with self._moving:
            if asked is not self._source:
                return
            was, now = asked.profile.spec_version, profile.spec_version
            if was != now:
                log.warning("node_changed", endpoint=asked.name, was=was, now=now)
                self._take(index, profile)
            self._probed_at = time.monotonic()

    async def witnesses(self) -> list[sources.Source]:
        """The endpoints not in use that are fit now: to ask for a second opinion."""
        found = []
        for endpoint in self._endpoints:
            if endpoint is self._source.endpoint:
                continue
            profile = await self._fit(endpoint, probe.identify)
            if profile is not None:
                found.append(sources.Source(endpoint, profile))
        return found

    async def turn_back(self, stands: tuple[int, str], every_seconds: float) -> None:
        """Use the best endpoint again that is well and holds this block (number, hash).

        They are named best first. Asks nothing while the first is in use, or if it asked less
        than `every_seconds` ago.
        """
        if not self._current or time.monotonic() - self._better_asked_at < every_seconds:
            return
        self._better_asked_at = time.monotonic()
        left = self._source
        for index, endpoint in enumerate(self._endpoints[: self._current]):
            profile = await self._fit_again(endpoint, stands)
            if profile is None:
                continue
            async with self._moving:
                if left is self._source:
                    self._take(index, profile)
                    log.info("turned_back", to=endpoint.name, of=left.name)
            return

    async def _fit_again(
        self, endpoint: rpc.Endpoint, stands: tuple[int, str]
    ) -> probe.NodeProfile | None:
        """What an endpoint can do that was left; None, and why in the log, while it is not fit."""
        try:
            # The next block waits meanwhile, and what takes longer is not the better endpoint.
            async with asyncio.timeout(BRIEF_SECONDS):
                profile = await probe.probe(endpoint, self._chain_id)
                if await follower.holds(sources.Source(endpoint, profile), *stands):
                    return profile
            reason = f"does not hold the committed block {stands[0]}"
        except (errors.NodeError, TimeoutError) as error:
            reason = str(error) or f"no answer within {BRIEF_SECONDS:g} s"
        log.info("endpoint_unfit", endpoint=endpoint.name, reason=reason)
        return None

    async def turn_to(self, better: sources.Source) -> None:
        """Use one of the witnesses from now on."""
        async with self._moving:
            log.warning("failed_over", to=better.name, of=self._source.name)
            self._take(self._endpoints.index(better.endpoint), better.profile)

    # --- questions that any endpoint may answer ---------------------------------------

    async def somewhere(self, question: Callable[[sources.Source], Awaitable[T]]) -> T:
        """The answer of the first endpoint that gives one, beginning with the one in use.

        That endpoint is in use afterwards; the last one's error is raised where none gives one.
        """
        for _ in self._endpoints[1:]:
            asked = self._source
            try:
                return await question(asked)
            except errors.NodeError as error:
                if not await self.fail_over(asked):
                    raise
                troubles.note(asked.name, error, "other_endpoint")
        return await question(self._source)

    async def head(self) -> types.BlockHeader:
        """The newest sealed block."""
        return await self.somewhere(lambda asked: asked.head())

    async def header(self, number: int) -> types.BlockHeader | None:
        """A block's header; None where the node has no such block."""
        return await self._source.header(number)

    async def finalised(self) -> int | None:
        """The newest block accepted on L1; None where the node does not say."""
        try:
            return await self._source.finalised()
        except errors.NodeError as error:
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
        return await self.somewhere(lambda chosen: chosen.calls(asked))


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
