"""A batch that is folded before the one it builds on is in the tables gives the same rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from indexer.daemon import pipeline
from indexer.daemon import writer as writers
from indexer.store import database
from tests import postgres
from tests.hostile import chain


class Late(writers.Writer):
    """Writes nothing of a batch before the next one is prepared."""

    gate = asyncio.Event()

    async def prepare(self, *arguments: Any) -> writers.Ready:
        ready = await super().prepare(*arguments)
        self.gate.set()
        return ready

    def start(self, *arguments: Any, **named: Any) -> Any:
        self.gate = asyncio.Event()
        return super().start(*arguments, **named)

    async def _write(self, *arguments: Any, **named: Any) -> Any:
        await self.gate.wait()
        return await super()._write(*arguments, **named)


async def pipelined(url: str, blocks: Sequence[chain.Block], cut: int) -> None:
    """Index the chain in batches of `cut` blocks, each folded while the one before waits."""
    async with database.session(url) as connection, database.session(url) as beside:
        writer = Late(chain.Node(), connection, chain.engine())  # type: ignore[arg-type]
        await writer.open(chain.CHAIN, 1)
        committing = pipeline.Pipeline(writer, lambda *_: None, beside)
        for start in range(0, len(blocks), cut):
            part = await chain.read(writer, start + 1, blocks[start : start + cut])
            await committing.add(part, is_at_head=True, close_gaps=False)
        writer.gate.set()
        await committing.finish()


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
@pytest.mark.parametrize("blocks", [chain.HONEST, chain.NAMED_LATER], ids=["honest", "named later"])
async def test_the_rows_are_those_of_one_batch_after_the_other(
    blocks: list[chain.Block], cut: int
) -> None:
    async with (
        postgres.fresh_database(migrated=True) as ahead,
        postgres.fresh_database(migrated=True) as plain,
    ):
        await pipelined(ahead, blocks, cut)
        await chain.index(plain, blocks, cut)
        assert await chain.rows(ahead) == await chain.rows(plain)
        assert await chain.log(ahead) == await chain.log(plain)
