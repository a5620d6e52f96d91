"""Measures how large requests to an endpoint may be, for people to read."""

from __future__ import annotations

import msgspec

from indexer import errors
from indexer.chain import rpc
from indexer.chain import source as sources

CALLS = sources.BLOCKS_PER_BATCH
BLOCKS = 10_000
ADDRESSES = range(1, 33)
"""Addresses without events: their answers are empty, whatever the range."""


class Capacity(msgspec.Struct, frozen=True):
    """The largest requests that were answered, up to those that were tried.

    `requests_per_second`: what the endpoint is sent at most, since it refused to take more; None
    where it did not.
    """

    calls: int
    blocks: int
    addresses: int
    events: int
    requests_per_second: float | None = None

    def sentence(self) -> str:
        """Such as: answers batches of 20 calls, …; "1" where only single ones are answered."""
        sizes = (
            f"answers batches of {self.calls} calls, ranges of {self.blocks:,} blocks, lists of "
            f"{self.addresses} addresses, pages of {self.events:,} events"
        )
        if self.requests_per_second is None:
            return sizes
        return (
            f"{sizes}; refused for coming too fast, so at most {self.requests_per_second:.1f} "
            "requests a second are sent for now"
        )


async def measure(source: sources.Source, head: int) -> Capacity:
    """Try a batch, a range and a list as large as the reader's, and smaller ones where refused."""
    endpoint, limits = source.endpoint, source.endpoint.limits
    await endpoint.call_many([rpc.Request("starknet_specVersion")] * CALLS)
    blocks = min(BLOCKS, head + 1)
    addresses = ADDRESSES if source.profile.address_lists else ADDRESSES[:1]
    while True:
        try:
            await source.events(head - blocks + 1, head, addresses)
            break
        except errors.RangeTooLargeError:
            if limits.blocks.size >= blocks:
                raise
            blocks = limits.blocks.size
    lists = limits.addresses.size if source.profile.address_lists else 1
    return Capacity(
        min(CALLS, limits.batch.size),
        blocks,
        min(len(ADDRESSES), lists),
        limits.page.size,
        endpoint.lowered_rate,
    )
