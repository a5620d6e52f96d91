"""Vesu V1: nothing is lost or doubled, and nothing hangs on where a batch ends, by digest.

V1 asks views while it folds and looks across the events of a transaction; neither may show in
the tables whether a chain was read at once, in pieces, across a reorganisation, or from the log.
"""

from __future__ import annotations

from typing import Any

import pytest

from indexer.cairo import selector
from indexer.recording import options, playhead, server
from tests import postgres
from tests.acceptance import stage, tables_v1, test_idempotence, truth_v1

NO_NODE = "http://127.0.0.1:1"
TABLES = (*test_idempotence.TABLES, "accrual_mismatches")

PIECES = {
    # First deposits and a reset, transfers told by no event, a claim, a liquidation in shares.
    "devnet-v10-genesis": (6, 10, 13, 17, 20, 37),
    # Frozen, taken over, configured, moved, unlocked; positions migrate; the upgrade.
    "devnet-v10-migration": (10, 35, 40, 41, 42, 43, 46, 67),
    "devnet-v11": (6, 12, 42, 88),
}
"""Where a run ends and the next process goes on."""


@pytest.fixture(scope="module")
async def undisturbed(indexed_v1: tables_v1.Indexed) -> dict[str, Any]:
    """The digest of one run over the whole recording."""
    environ = stage.environment(indexed_v1.recorded, NO_NODE, indexed_v1.url)
    digest: dict[str, Any] = await stage.json_of(environ, "digest")
    return digest


async def test_current_rows_equal_their_history(
    indexed_v1: tables_v1.Indexed, undisturbed: dict[str, Any]
) -> None:
    environ = stage.environment(indexed_v1.recorded, NO_NODE, indexed_v1.url)
    last = str(indexed_v1.recorded.last_block)
    assert await stage.json_of(environ, "digest", "--at-block", last) == undisturbed


async def test_piece_by_piece_equals_all_at_once(
    indexed_v1: tables_v1.Indexed, undisturbed: dict[str, Any]
) -> None:
    recorded = indexed_v1.recorded
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(recorded.chain) as node,
    ):
        environ = stage.environment(recorded, node.url, url)
        for until in (*PIECES[recorded.name], recorded.last_block):
            await stage.command(environ, "run", "--until-block", str(until), "--no-serve")
        assert await stage.json_of(environ, "digest") == undisturbed


@pytest.mark.parametrize("blocks", [None, 40, 1], ids=["all", "the last 40", "the last"])
async def test_replay_makes_the_same(
    indexed_v1: tables_v1.Indexed, undisturbed: dict[str, Any], blocks: int | None
) -> None:
    """A replay needs no node: every answer that the fold needs is in the log."""
    environ = stage.environment(indexed_v1.recorded, NO_NODE, indexed_v1.url)
    first = 0 if blocks is None else indexed_v1.recorded.last_block - blocks + 1
    before = await postgres.lines(indexed_v1.url, *TABLES)
    await stage.command(environ, "replay", "--from-block", str(first))
    assert await stage.json_of(environ, "digest") == undisturbed
    assert await postgres.lines(indexed_v1.url, *TABLES) == before


async def test_reorganisation_leaves_the_final_branch() -> None:
    """devnet-v11's abandoned blocks leave nothing behind."""
    recorded = truth_v1.recorded("devnet-v11")
    fork = recorded.chain.forks[0]
    head = playhead.Playhead.at_block(recorded.chain, fork.common, story=True)
    last = str(recorded.last_block)
    async with postgres.fresh_database(migrated=True) as url, postgres.fresh_database() as other:
        async with server.RecordingServer(recorded.chain, head) as node:
            environ = stage.environment(recorded, node.url, url)
            head.go_to(fork.last, branch=fork.index)
            await stage.command(environ, "run", "--until-block", str(fork.last), "--no-serve")
            on_fork = await stage.json_of(environ, "digest")
            head.go_to(recorded.last_block)
            await stage.command(environ, "run", "--until-block", last, "--no-serve")
            final = await stage.json_of(environ, "digest")
            status = await stage.json_of(environ, "status", expect=None)
        async with server.RecordingServer(recorded.chain) as node:
            environ = stage.environment(recorded, node.url, other)
            await stage.command(environ, "run", "--until-block", last, "--no-serve")
            undisturbed = await stage.json_of(environ, "digest")
    assert on_fork["all"] != final["all"]
    assert final == undisturbed
    assert status["fork_counter"] == 1


async def test_what_an_abandoned_branch_named_is_forgotten_with_it(
    indexed_v1: tables_v1.Indexed, undisturbed: dict[str, Any]
) -> None:
    """The chain changes once a range's vTokens were asked for: they are asked for again."""
    recorded = indexed_v1.recorded
    naming = hex(selector.of("v_token_for_collateral_asset"))
    done: set[str] = set()

    def fault(method: str, params: Any) -> options.Fault | None:
        if method == "starknet_call" and params["request"]["entry_point_selector"] == naming:
            done.add("named")
            return None if "changed" in done else options.Fault(edit=lambda _: ["0xabad1dea"])
        if method == "starknet_getBlockWithTxHashes" and done == {"named"}:
            done.add("changed")
            return options.Fault(edit=lambda block: {**block, "block_hash": "0xabad1dea"})
        return None

    faults = options.ServerOptions(fault=fault)
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(recorded.chain, options=faults) as node,
    ):
        environ = stage.environment(recorded, node.url, url)
        until = str(recorded.last_block)
        await stage.command(environ, "run", "--until-block", until, "--no-serve")
        assert await stage.json_of(environ, "digest") == undisturbed
    if recorded.name == "devnet-v10-genesis":
        assert done == {"named", "changed"}
