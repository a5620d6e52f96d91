"""Whatever a stranger's token answers when it is asked what it is called, no other pool changes.

So for every cut of the batches, and for a replay; and the log goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from indexer import errors
from indexer.cairo import view_call
from tests import postgres
from tests.hostile import chain

U64, U128 = 2**64 - 1, 2**128 - 1
FELT = 2**251 + 17 * 2**192
TOKEN, POOL, V_TOKEN = 0x70CE, 0x9003, 0x7E3

ANSWERS: dict[str, Sequence[int] | errors.NodeError] = {
    "nothing": [],
    "a felt": [FELT],
    "felts of the field's maximum": [FELT] * 20,
    "zeros": [0] * 20,
    "a million felts": [1] * 1_000_000,
    "a text that promises more words than there are": [U64, 0x41, 31],
    "a text of ten thousand words": [10_000, *[0x41] * 10_000, 0, 0],
    "decimals of u8's maximum": [255],
    "a refusal": errors.RpcError("Contract error", 40),
    "no such contract": errors.RpcError("Contract not found", 20),
    "an internal error": errors.NodeUnreachableError("-32603 internal error", kind="internal"),
    "no answer in time": errors.NodeUnreachableError("no answer within 20 s", kind="timeout"),
    "an error in words of its own": errors.RefusedRequestError("execution reverted", -32000),
}


class Node(chain.Node):
    """Answers what the stranger's token is asked in its own way, and all else honestly.

    A batch with a view that the node cannot answer fails as a whole.
    """

    def __init__(self, answer: Sequence[int] | errors.NodeError) -> None:
        super().__init__()
        self._theirs = answer

    async def calls(  # type: ignore[override]
        self, calls: Sequence[view_call.ViewCall], _: object
    ) -> list[list[int] | errors.RpcError]:
        return [self._one(call) for call in calls]

    def _one(self, call: view_call.ViewCall) -> list[int] | errors.RpcError:
        if call.contract != TOKEN:
            return self._answer
        if isinstance(self._theirs, errors.RpcError):
            return self._theirs
        if isinstance(self._theirs, errors.NodeError):
            raise self._theirs
        return list(self._theirs)


GROWN = chain.with_event(
    3,
    *chain.created(POOL, V_TOKEN, block=3, asset=TOKEN),
    blocks=chain.with_event(
        4,
        chain.modify(POOL, chain.MALLORY, 10**18, asset=TOKEN),
        (V_TOKEN, "Transfer", [0, chain.ALICE], chain.u256(500)),
    ),
)
"""A pool of the stranger's own token is made among other people's business, and used."""


@pytest.fixture(scope="module")
async def honest() -> AsyncIterator[Mapping[int, dict[str, list[Any]]]]:
    """What the chain's tables hold of the pools that were there before."""
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        yield {pool: await chain.rows(url, pool) for pool in (chain.OURS, chain.THEIRS)}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_of_a_strangers_token_change_no_other_pool(
    name: str, honest: Mapping[int, dict[str, list[Any]]]
) -> None:
    found, logs = [], []
    for cut in (1, 2, len(GROWN)):
        async with postgres.fresh_database(migrated=True) as url:
            await chain.index(url, GROWN, cut, Node(ANSWERS[name]))
            for pool, rows in honest.items():
                assert await chain.rows(url, pool) == rows, f"cut {cut}"
            assert await chain.reasons(url) == {}
            found.append(await chain.rows(url, valued=False))
            logs.append(await chain.log(url))
            if cut == 1:
                await chain.replayed(url)
                for pool, rows in honest.items():
                    assert await chain.rows(url, pool) == rows, "replayed"
                assert await chain.rows(url, valued=False) == found[0], "replayed"
    assert len(chain.users(found[0]["vesu_positions"], chain.MALLORY)) == 1
    assert found[1:] == found[:-1]
    assert logs[1:] == logs[:-1]
