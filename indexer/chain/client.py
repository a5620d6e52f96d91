"""The Starknet node that the indexer reads: several endpoints in order of preference, one in use.

A range is read from one endpoint as a whole (`source`), and the range reader reports when that
endpoint failed (`fail_over`). The head and views at a block hash may come from any endpoint, so
these requests fail over by themselves.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from indexer import errors
from indexer.cairo import view_call
from indexer.chain import ancestry, failures, probe, rpc, types
from indexer.chain import source as sources

log = structlog.get_logger(__name__)

NodeSettings = rpc.NodeSettings

T = TypeVar("T")
_Probe = Callable[[rpc.Endpoint, int | None], Awaitable[probe.NodeProfile]]

BRIEF_SECONDS = 2.0
"""How long an endpoint that failed before may take to prove that it is fit again."""


SECOND_LOOK_SECONDS = 0.1
"""How long after a contract's refusal the only endpoint is asked again."""

START_PAUSE = 2.0
"""How long endpoints are left alone between two probes at the start."""


class StarknetNode:
    """A node with at least one endpoint that passed its probe; made by `connect`."""

    def __init__(
        self, endpoints: Sequence[rpc.Endpoint], current: int, profile: probe.NodeProfile
    ) -> None:
        self._endpoints = list(endpoints)
        self._current = current
        self._source = sources.Source(endpoints[current], profile)
        self._moving = asyncio.Lock()
        self._unfit_at: dict[rpc.Endpoint, float] = {}
        self._probed_at = self._better_asked_at = time.monotonic()

    @property
    def profile(self) -> probe.NodeProfile:
        """The capabilities of the endpoint in use."""
        return self._source.profile

    @property
    def source(self) -> sources.Source:
        """The endpoint in use now. A Source never changes its endpoint; the node its Source."""
        return self._source

    @property
    def answered_at(self) -> float:
        """When any endpoint last answered the writer well, by the monotonic clock."""
        return max(endpoint.answered_at for endpoint in self._endpoints)

    def seconds_for(self, requests: int) -> float:
        """How long so many requests wait for the lowered rate of the endpoint in use; else 0."""
        return self._source.endpoint.seconds_for(requests)

    async def close(self) -> None:
        """Close the connections of every endpoint."""
        for endpoint in self._endpoints:
            await endpoint.close()

    async def fail_over(self, failed: sources.Source) -> bool:
        """Replace a failed source by the next endpoint that passes its probe; False: none does.

        True also where the source was replaced already.
        """
        async with self._moving:
            if failed is not self._source:
                return True
            for step in range(1, len(self._endpoints)):
                index = (self._current + step) % len(self._endpoints)
                if await self._moves_to(index):
                    log.warning("failed_over", to=self._source.name, of=failed.name)
                    return True
        return False

    async def _moves_to(self, index: int) -> bool:
        profile = await self._fit(self._endpoints[index], probe.probe)
        if profile is None:
            return False
        self._take(index, profile)
        return True

    async def _fit(self, endpoint: rpc.Endpoint, ask: _Probe) -> probe.NodeProfile | None:
        """The profile of an endpoint; None, with the reason in the log, where it is not fit."""
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

    # --- choice of the endpoint -------------------------------------------------------

    async def probe_again(self, every_seconds: float = 0.0) -> None:
        """Check that the endpoint in use still serves the configured chain by a known version.

        Does nothing within `every_seconds` of the last check. An endpoint that became unfit or
        does not answer is replaced by another; its error is raised where there is none.
        """
        if time.monotonic() - self._probed_at < every_seconds:
            return
        index, used_source = self._current, self._source
        try:
            profile = await probe.identify(used_source.endpoint, self._chain_id)
        except errors.NodeError as error:
            if not await self.fail_over(used_source):
                raise
            failures.record(used_source.name, error, "other_endpoint")
            return
        async with self._moving:
            if used_source is not self._source:
                return
            was, now = used_source.profile.spec_version, profile.spec_version
            if was != now:
                log.warning("node_changed", endpoint=used_source.name, was=was, now=now)
                self._take(index, profile)
            self._probed_at = time.monotonic()

    async def alternatives(self, rest_seconds: float = 0.0) -> list[sources.Source]:
        """The fit endpoints that are not in use, for a second opinion.

        One that was found unfit here within the last `rest_seconds` is left out unasked: whether
        a request fails for good is known only after all its retries.
        """
        found = []
        for endpoint in self._endpoints:
            unfit_at = self._unfit_at.get(endpoint, -math.inf)
            if endpoint is self._source.endpoint or time.monotonic() - unfit_at < rest_seconds:
                continue
            profile = await self._fit(endpoint, probe.identify)
            if profile is None:
                self._unfit_at[endpoint] = time.monotonic()
                continue
            found.append(sources.Source(endpoint, profile))
        return found

    async def return_to_preferred(self, committed: tuple[int, str], every_seconds: float) -> None:
        """Switch to the most preferred endpoint that is fit and has this block (number, hash).

        Does nothing while the first endpoint is in use, or within `every_seconds` of the last
        check.
        """
        if not self._current or time.monotonic() - self._better_asked_at < every_seconds:
            return
        self._better_asked_at = time.monotonic()
        left = self._source
        for index, endpoint in enumerate(self._endpoints[: self._current]):
            profile = await self._fit_again(endpoint, committed)
            if profile is None:
                continue
            async with self._moving:
                if left is self._source:
                    self._take(index, profile)
                    log.info("turned_back", to=endpoint.name, of=left.name)
            return

    async def _fit_again(
        self, endpoint: rpc.Endpoint, committed: tuple[int, str]
    ) -> probe.NodeProfile | None:
        """The profile of an endpoint that failed before; None, and why in the log, if unfit."""
        try:
            # At the head indexing waits meanwhile, and a slow endpoint is not worth switching to.
            async with asyncio.timeout(BRIEF_SECONDS):
                profile = await probe.probe(endpoint, self._chain_id)
                if await ancestry.has_block(sources.Source(endpoint, profile), *committed):
                    return profile
            reason = f"does not hold the committed block {committed[0]}"
        except (errors.NodeError, TimeoutError) as error:
            reason = str(error) or f"no answer within {BRIEF_SECONDS:g} s"
        log.info("endpoint_unfit", endpoint=endpoint.name, reason=reason)
        return None

    async def switch_to(self, better: sources.Source) -> None:
        """Use one of the alternatives from now on."""
        async with self._moving:
            log.warning("failed_over", to=better.name, of=self._source.name)
            self._take(self._endpoints.index(better.endpoint), better.profile)

    # --- requests that any endpoint may answer ----------------------------------------

    async def ask_any(self, question: Callable[[sources.Source], Awaitable[T]]) -> T:
        """The answer of the first endpoint that gives one, beginning with the one in use.

        That endpoint is in use afterwards. The last error is raised where no endpoint answers.
        """
        for _ in self._endpoints[1:]:
            used_source = self._source
            try:
                return await question(used_source)
            except errors.NodeError as error:
                if not await self.fail_over(used_source):
                    raise
                failures.record(used_source.name, error, "other_endpoint")
        return await question(self._source)

    async def head(self) -> types.BlockHeader:
        """The newest sealed block."""
        return await self.ask_any(lambda any_source: any_source.head())

    async def header(self, number: int) -> types.BlockHeader | None:
        """A block's header; None where the node has no such block."""
        return await self._source.header(number)

    async def finalised(self) -> int | None:
        """The newest block accepted on L1; None where the node does not know it."""
        try:
            return await self._source.finalised()
        except errors.NodeError as error:
            # Indexing never waits for finality.
            log.info("finality_unknown", reason=str(error))
            return None

    async def head_and_finalised(self) -> tuple[types.BlockHeader, int | None]:
        """`head` and `finalised`, asked at the same time of the same endpoint."""
        asked = self._source
        finalised = asyncio.create_task(self.finalised())
        try:
            head = await self.head()
            if self._source is asked:
                return head, await finalised
        finally:
            finalised.cancel()
            await asyncio.gather(finalised, return_exceptions=True)
        return head, await self.finalised()

    async def class_hash(self, address: int, block: int | None = None) -> int | None:
        """The class of the contract at an address after a block, or now; None where none stands."""
        return await self.ask_any(lambda any_source: any_source.class_hash(address, block))

    async def calls(
        self, calls: Sequence[view_call.ViewCall], hashes: Mapping[int, str]
    ) -> list[list[int] | errors.RpcError]:
        """The results of view calls at the blocks with these hashes, by number, in order.

        A contract's refusal stands in its place.
        """
        return await self.ask_any(lambda chosen: chosen.calls(calls, hashes))

    async def calls_elsewhere(
        self, calls: Sequence[view_call.ViewCall], hashes: Mapping[int, str]
    ) -> list[list[int] | errors.RpcError]:
        """The same from another endpoint; if none answers, from the one in use a moment later."""
        for other in await self.alternatives():
            try:
                return await other.calls(calls, hashes)
            except errors.NodeError as error:
                log.info("witness_silent", endpoint=other.name, reason=str(error))
        await asyncio.sleep(SECOND_LOOK_SECONDS)
        return await self.calls(calls, hashes)


async def connect(
    urls: Sequence[str],
    chain_id: int | None,
    settings: rpc.NodeSettings,
    start_timeout_seconds: float = 0.0,
) -> StarknetNode:
    """A node on the first of these URLs that passes its probe; else the first URL's error.

    Endpoints that may pass it later are probed again for `start_timeout_seconds`.
    """
    endpoints = [rpc.Endpoint(url, settings) for url in urls]
    for endpoint in endpoints:
        if endpoint.proxy is not None:
            log.info("proxy_used", endpoint=endpoint.name, proxy=endpoint.proxy)
    try:
        return await _first_fit(endpoints, chain_id, start_timeout_seconds)
    except BaseException:
        for endpoint in endpoints:
            await endpoint.close()
        raise


async def _first_fit(
    endpoints: Sequence[rpc.Endpoint], chain_id: int | None, timeout_seconds: float
) -> StarknetNode:
    began = time.monotonic()
    while True:
        failed: list[errors.NodeError] = []
        for index, endpoint in enumerate(endpoints):
            try:
                profile = await probe.probe(endpoint, chain_id)
            except errors.NodeError as error:
                if len(endpoints) > 1:  # the error of a single one is raised itself
                    log.warning("endpoint_unfit", endpoint=endpoint.name, reason=str(error))
                failed.append(error)
            else:
                return StarknetNode(endpoints, index, profile)
        waited = time.monotonic() - began
        may_pass = any(isinstance(error, errors.RetryableNodeError) for error in failed)
        if not may_pass or not timeout_seconds:
            raise failed[0]
        if waited >= timeout_seconds:
            raise errors.NodeUnreachableError(
                f"{failed[0]}; waited {waited:.0f} s for it (node.start_timeout_seconds)",
                kind=failed[0].kind,
            )
        pause = min(START_PAUSE, timeout_seconds - waited)
        failures.record(endpoints[0].name, failed[0], "wait", retry_in=round(pause, 1))
        await asyncio.sleep(pause)
