"""A view of a stranger's contract that no node ever answers holds up no block for good.

The log keeps that nobody answered: so the tables are the same for every cut, and for a replay.
Once the view is answered, they are what they would have been.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence

import pytest

from indexer import errors
from indexer.audit import log_verification
from indexer.cairo import view_call
from indexer.daemon import observation_check, unanswered_views
from indexer.daemon import writer as writers
from indexer.log import cursor, gaps
from indexer.store import database
from tests import postgres
from tests.hostile import chain, chain_v1

SEED = 20271
TOKEN = 0x70CE
TOKEN_VIEWS = ("symbol", "name", "decimals")
FAILURES: tuple[errors.NodeError, ...] = (
    errors.NodeUnreachableError("Internal error (code -32603)", kind="internal"),
    errors.RefusedRequestError("it broke (code 19)", 19),
    errors.NodeUnreachableError("no answer within 20 s", kind="timeout"),
    errors.NodeBusyError("step limit exceeded"),
    errors.RangeTooLargeError("more than 64 MB"),
    errors.InconsistentAnswerError("null", kind="shape"),
    errors.RpcError("refused 9 times now, and for 601 s in all", -32000),
)


class Node(chain.Node):
    """Fails whenever one of these views is among those asked, each time in another way."""

    def __init__(self, *failing: tuple[int, str], seed: int = SEED) -> None:
        super().__init__(chain.text(b"TOKEN"))
        self.failing = set(failing)
        self.asked = 0
        self._dice = random.Random(seed)

    async def calls(self, calls: Sequence[view_call.ViewCall], hashes: object) -> list[list[int]]:
        if any((one.contract, one.view) in self.failing for one in calls):
            self.asked += 1
            raise self._dice.choice(FAILURES)
        return await super().calls(calls, hashes)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unanswered_views, "HELD_SECONDS", 0.0)


@pytest.fixture(scope="module")
async def honest() -> AsyncIterator[dict[str, list[str]]]:
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST, node=Node())
        yield await chain.rows(url, chain.OURS)


LISTING = (chain.THEIRS, "SetAssetConfig", [TOKEN], chain.config(1))


@pytest.mark.parametrize("variant", range(6))
async def test_a_token_that_never_answers_stops_nobody(
    variant: int, honest: dict[str, list[str]]
) -> None:
    dice = random.Random(f"{SEED}-{variant}")
    views = dice.sample(TOKEN_VIEWS, dice.randint(1, 3))
    block = dice.randint(2, 5)
    print(f"seed {SEED}: {views} at block {block}")
    grown = chain.with_event(block, LISTING)
    found = []
    for cut in (1, 2, len(grown)):
        async with postgres.fresh_database(migrated=True) as url:
            node = Node(*((TOKEN, view) for view in views), seed=SEED + variant)
            await chain.index(url, grown, cut, node)
            assert await chain.rows(url, chain.OURS) == honest, f"cut {cut}"
            assert await unanswered(url) == sorted((block, TOKEN, view) for view in views)
            assert await chain.reasons(url) == {}
            found.append(await chain.rows(url, valued=False))
            if cut == 1:
                await chain.replayed(url)
                assert await chain.rows(url, valued=False) == found[0], "replayed"
    assert found[1:] == found[:-1]


async def test_the_rows_catch_up_once_the_view_is_answered() -> None:
    grown = chain.with_event(3, LISTING)
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, grown, node=Node())
        wanted = await chain.rows(url, valued=False)
    node = Node((TOKEN, "symbol"))
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, grown, node=node)
        assert await chain.rows(url, valued=False) != wanted
        assert await asked_again(url, node) == []
        node.failing.clear()
        assert await asked_again(url, node) == [3]
        await rolled_back(url, 2)
        await chain.index(url, grown, node=node, first=3)
        assert await chain.rows(url, valued=False) == wanted
        assert await unanswered(url) == []


V1_VIEWS = {
    "asset_config_unsafe": (
        chain_v1.SINGLETON,
        "SetAssetParameter",
        [chain_v1.FIRST_THEIRS, chain.ETH, int.from_bytes(b"floor")],
        chain.u256(1),
    ),
    "pool_owner": (
        chain_v1.EXTENSION,
        "FeeModelEvents/SetFeeConfig",
        [chain_v1.FIRST_THEIRS, 1],
        [],
    ),
}


class NodeV1(Node):
    """The same by view and pool: all of V1's pools are asked of one singleton."""

    async def calls(self, calls: Sequence[view_call.ViewCall], hashes: object) -> list[list[int]]:
        if any((one.calldata or (0,))[0] == chain_v1.FIRST_THEIRS and one.block_number == 4
               for one in calls):  # fmt: skip
            raise self._dice.choice(FAILURES)
        return await super().calls(calls, hashes)


@pytest.mark.parametrize("view", V1_VIEWS)
@pytest.mark.parametrize("generation", chain_v1.GENERATIONS)
async def test_a_pool_whose_views_are_never_answered_is_frozen_alone(
    view: str, generation: str
) -> None:
    roots = chain_v1.GENERATIONS[generation]
    grown = chain_v1.with_strangers([[V1_VIEWS[view]]])
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, grown, node=Node(), roots=roots)
        assert await chain.reasons(url) == {}
        ours = await chain.rows(url, chain_v1.OURS)
    found = []
    for cut in (1, 2, len(grown)):
        async with postgres.fresh_database(migrated=True) as url:
            await chain.index(url, grown, cut, NodeV1(), roots=roots)
            assert await chain.rows(url, chain_v1.OURS) == ours, f"cut {cut}"
            reasons = await chain.reasons(url)
            assert list(reasons) == [chain_v1.FIRST_THEIRS]
            assert reasons[chain_v1.FIRST_THEIRS].startswith(f"no node answered the view {view} ")
            found.append(await chain.rows(url, valued=False))
            if cut == 1:
                await chain.replayed(url, roots)
                assert await chain.rows(url, valued=False) == found[0], "replayed"
    assert found[1:] == found[:-1]


async def test_a_node_that_runs_no_views_at_all_is_waited_for() -> None:
    """Then it is the node's fault, and nothing is given up."""

    class Broken(chain.Node):
        async def calls(self, *_: object) -> list[list[int]]:
            raise FAILURES[0]

    async with postgres.fresh_database(migrated=True) as url:
        with pytest.raises(errors.RetryableNodeError, match="Internal error"):
            await chain.index(url, chain.HONEST, node=Broken())
        assert await unanswered(url) == []


# --- how long ------------------------------------------------------------------------------


class Clock:
    """A clock that a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


CALL = view_call.ViewCall(5, TOKEN, "asset_config_unsafe")
HASHES = {5: "0x5"}


async def test_a_view_is_held_for_a_while_and_strangers_share_a_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many pools a stranger makes, blocks wait for two minutes an hour and a little."""
    clock = Clock()
    monkeypatch.setattr("indexer.daemon.unanswered_views.time.monotonic", clock)
    monkeypatch.setattr(unanswered_views, "HELD_SECONDS", 30.0)
    node = Node(*((TOKEN + at, "asset_config_unsafe") for at in range(100)))
    asker = unanswered_views.Asker(node)  # type: ignore[arg-type]
    held = []
    for at in range(100):
        began = clock.now
        while True:
            try:
                call = CALL._replace(contract=TOKEN + at)
                seen = await asker.ask([call], HASHES, chain.FACTORY)
            except errors.RetryableNodeError:
                clock.now += 2.0
                continue
            break
        assert [one.error for one in seen] == ["unanswered"]
        held.append(clock.now - began)
    assert held[0] >= 30.0
    assert sum(held) <= unanswered_views.BUDGET_SECONDS + 40
    assert held[-1] == 0.0
    clock.now += unanswered_views.WINDOW_SECONDS + 1
    with pytest.raises(errors.RetryableNodeError, match="fails while others are answered"):
        await asker.ask([CALL], HASHES, chain.FACTORY)


async def test_a_view_that_is_answered_in_the_end_is_no_failure() -> None:
    node = Node((TOKEN, CALL.view))
    asker = unanswered_views.Asker(node)  # type: ignore[arg-type]
    with pytest.raises(errors.RetryableNodeError):
        await asker.ask([CALL], HASHES, chain.FACTORY)
    node.failing.clear()
    seen = await asker.ask([CALL], HASHES, chain.FACTORY)
    assert [one.result for one in seen] == [tuple(chain.text(b"TOKEN"))]


# --- steps ---------------------------------------------------------------------------------


async def unanswered(url: str) -> list[tuple[int, int, str]]:
    rows = await postgres.fetch(
        url, "SELECT block_number, contract, view FROM observations WHERE error = 'unanswered'"
    )
    return sorted((row["block_number"], int(row["contract"], 16), row["view"]) for row in rows)


async def asked_again(url: str, node: chain.Node) -> list[int]:
    """Ask what was not answered again; the blocks that are to be repaired."""
    async with database.session(url) as connection:
        at = await cursor.read(connection)
        assert at is not None
        checked = await observation_check.ask_unanswered(
            node,  # type: ignore[arg-type]
            connection,
            1,
            at.block_number,
        )
        await log_verification.note_gaps(connection, at, (), checked.differing)
        return list((await gaps.still_open(connection)).untouched)


async def rolled_back(url: str, block: int) -> None:
    """What the ingestor does about a gap above a block."""
    async with database.session(url) as connection:
        writer = writers.Writer(chain.Node(), connection, chain.engine())  # type: ignore[arg-type]
        await writer.open(chain.CHAIN, 1)
        head = chain.header(len(chain.HONEST))
        await writer.roll_back((block, hex(block)), head, "repair")
