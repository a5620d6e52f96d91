"""The closing of a range: its last block is read again once all of it was read.

Where the hash is another one, the chain changed meanwhile. That changes nothing of what is folded
and written: only the commit has to wait for the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from indexer import errors

HELD_SECONDS = 5.0
"""How long a transaction that is ready for its commit is held open for the answer."""


class Closing:
    """A closing that was begun; it raises a NodeError where the range must not be committed.

    `refusal`: why a commit was refused; the range is delivered again then.
    """

    def __init__(self, close: Coroutine[Any, Any, None]) -> None:
        self._closing = asyncio.create_task(close)
        self.refusal: errors.NodeError | None = None

    async def closed(self) -> None:
        """Return once the range is closed. NodeError: it could not be."""
        await self._closing

    async def require_closed(self) -> None:
        """The same for a transaction that is ready for its commit: it refuses where it raises.

        NodeUnreachableError: the answer takes too long.
        """
        await asyncio.wait([self._closing], timeout=HELD_SECONDS)
        try:
            if not self._closing.done():
                raise errors.NodeUnreachableError(
                    f"the last block was not confirmed within {HELD_SECONDS:g} s of being written"
                )
            self._closing.result()
        except errors.NodeError as error:
            self.refusal = error
            raise

    async def break_off(self) -> None:
        """Stop waiting for the answer; the range was left."""
        self._closing.cancel()
        await asyncio.gather(self._closing, return_exceptions=True)
