"""What is believed of a chain that changes: nothing undecided is committed, nothing is doubled.

The recording's fork leaves the main chain at block 84 and ends at block 91. The tests begin
with a database that holds the fork; `deep` makes its seven blocks a deep rollback.
"""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from indexer import errors
from indexer.query import status
from indexer.recording import options
from tests.integration import daemon_stage, fork_stage
from tests.integration.daemon_stage import Following, following, recording, serving
from tests.integration.faults import refuse
from tests.integration.fork_stage import (
    BEYOND,
    BRIEF,
    COMMON,
    DEEP,
    FORK,
    PATIENT,
    TIP,
    equal,
    forks,
    is_settled,
    on_fork,
    on_main,
)

Fault = options.Fault

forked, truth, url = fork_stage.forked, fork_stage.truth, fork_stage.url


async def is_suspect(running: Following, says: str) -> None:
    """Wait for a suspicion; table, view, status and metric must all tell it, and nothing move."""
    await running.says("node_trouble", kind="suspect", outcome="suspect")
    seen = await running.connection.fetchrow("SELECT * FROM indexer_status")
    assert seen is not None
    assert seen["is_suspect"]
    assert says in seen["suspect_reason"]
    assert seen["suspect_since"] is not None
    assert seen["committed_block"] == TIP
    told = await status.read(running.connection)
    assert (told.state, told.is_fresh, told.reason) == ("suspect", False, seen["suspect_reason"])
    assert daemon_stage.count(running.node.source.name, "suspect", "suspect") >= 1


# --- a reorganisation -----------------------------------------------------------------------


async def test_a_reorganisation_is_told_and_kept_in_the_audit_tables(url: str, truth: str) -> None:
    """One that happened while we were off: NOTIFY, the row, the orphans, old and new hash."""
    told: list[Any] = []
    async with serving(on_main()) as node:
        listening = await asyncpg.connect(url)
        await listening.add_listener("vesu_blocks", lambda *said: told.append(json.loads(said[3])))
        events = await listening.fetchval("SELECT count(*) FROM events WHERE block_number > 84")
        views = await listening.fetchval(
            "SELECT count(*) FROM observations WHERE block_number > 84"
        )
        async with following(url, node.url) as running:
            await running.committed(BEYOND)
            line = await running.says("reorganised", ancestor=COMMON, depth=TIP - COMMON)
            row = await running.connection.fetchrow("SELECT * FROM reorgs")
            orphans = await running.ask("SELECT count(*) FROM orphaned_events")
            assert await running.ask("SELECT count(*) FROM orphaned_observations") == views
            old = await running.ask(
                "SELECT count(*) FROM orphaned_events o JOIN reorgs r ON r.id = o.reorg_id "
                "WHERE o.block_number = r.old_number AND o.block_hash = r.old_hash"
            )
        await listening.close()
    assert row is not None
    assert (row["ancestor_number"], row["old_number"], row["depth"]) == (COMMON, TIP, TIP - COMMON)
    assert int(row["old_hash"], 16) == int(FORK.blocks[TIP].hash, 16)
    assert int(row["new_hash"], 16) == int(recording().main.blocks[BEYOND].hash, 16)
    assert row["events_orphaned"] == orphans == line["events"] == events > 0
    assert row["rows_restored"] == line["rows"] > 0
    assert row["seconds"] > 0
    assert old > 0
    first = told[0]
    assert (first["block_number"], first["fork_counter"]) == (COMMON, 1)
    assert "vesu_transactions" in first["tables"]
    await equal(url, truth)


async def test_a_chain_that_changes_while_the_ancestor_is_searched(url: str, truth: str) -> None:
    """The head hops between the branches at every third question of the search."""
    head = on_main(TIP + 1)
    asked = [0]

    def hop(method: str, params: Any) -> None:
        if method == "starknet_getBlockWithTxHashes" and asked[0] < 12:
            asked[0] += 1
            if asked[0] % 3 == 0:
                is_main = head.tip is not None and head.tip.branch == 0
                head.go_to(TIP, branch=1) if is_main else head.go_to(TIP + 1)

    async def has_hopped() -> bool:
        return asked[0] >= 12

    async with serving(head, fault=hop) as node, following(url, node.url) as running:
        await running.until(has_hopped)
        head.go_to(BEYOND)
        await running.committed(BEYOND)
        await is_settled(running)
    await equal(url, truth)


async def test_a_chain_that_moves_on_after_it_told_its_head(url: str, truth: str) -> None:
    """Told below the fork, then on another branch above: no block of both branches is lost."""
    head = on_main(COMMON - 2)

    def move_on(method: str, params: Any) -> None:
        if f'"block_number": {TIP}}}' in json.dumps(params):
            head.go_to(BEYOND)

    async with serving(head, fault=move_on) as node, following(url, node.url) as running:
        await running.committed(BEYOND)
        assert await running.ask("SELECT array_agg(ancestor_number) FROM reorgs") == [COMMON]
    await equal(url, truth)


async def test_a_chain_that_changes_during_the_rollback(url: str, truth: str) -> None:
    """While the rollback waits for a lock the chain goes back to the branch that it abandoned."""
    head = on_main()
    locking = await asyncpg.connect(url)
    held = locking.transaction()
    await held.start()
    await locking.execute("LOCK TABLE orphaned_events IN ACCESS EXCLUSIVE MODE")
    async with serving(head) as node, following(url, node.url) as running:
        waits = "SELECT true FROM pg_locks WHERE NOT granted"
        await running.until(lambda: running.ask(waits))
        head.go_to(TIP, branch=1)
        await held.rollback()
        await running.until(lambda: running.ask("SELECT fork_counter = 1 FROM cursor"))
        await running.committed(TIP)
        head.go_to(BEYOND)
        await running.committed(BEYOND)
        assert await forks(running) == 2
    await locking.close()
    await equal(url, truth)


# --- a head below ours ----------------------------------------------------------------------


async def test_a_low_head_is_suspect_and_passes(url: str) -> None:
    """The node lags, then catches up on our own chain: nothing was taken back."""
    head = on_fork()
    head.go_to(COMMON + 2, branch=1)
    async with serving(head) as node, following(url, node.url, **PATIENT) as running:
        await is_suspect(running, f"the head fell to block {COMMON + 2}")
        head.go_to(TIP, branch=1)
        await running.says("suspicion_over")
        await is_settled(running)
        assert await forks(running) == 0


async def test_a_head_that_stays_low_is_believed(url: str, truth: str) -> None:
    """The chain was cut back to the fork's first block but one and never grows again."""
    head = on_main(COMMON)
    async with serving(head) as node, following(url, node.url, **BRIEF) as running:
        await is_suspect(running, f"the head fell to block {COMMON}")
        await running.committed(COMMON)
        await is_settled(running)
        assert await forks(running) == 1
        await equal(url, truth, COMMON)
        head.go_to(BEYOND)
        await running.committed(BEYOND)
        assert await forks(running) == 1
    await equal(url, truth)


async def test_a_low_head_that_moves_on_our_chain_is_a_node_that_catches_up(url: str) -> None:
    """Each look sees another head on our own blocks: the patience begins anew."""
    head = on_fork()
    head.go_to(COMMON + 1, branch=1)
    looks = [0]

    def climb(method: str, params: Any) -> None:
        if method == "starknet_getBlockWithTxHashes" and params["block_id"] == "latest":
            looks[0] += 1
            if looks[0] % 3 == 0 and head.tip is not None and head.tip.number < TIP:
                head.go_to(head.tip.number + 1, branch=1)

    async with serving(head, fault=climb) as node, following(url, node.url, **BRIEF) as running:
        await running.says("suspicion_over")
        assert await forks(running) == 0
        assert looks[0] > 3


async def test_a_low_head_is_left_for_an_endpoint_that_knows_our_block(url: str) -> None:
    lagging = on_fork()
    lagging.go_to(COMMON + 2, branch=1)
    async with (
        serving(lagging) as first,
        serving(on_fork()) as second,
        following(url, first.url, second.url, **BRIEF) as running,
    ):
        await running.says("node_trouble", kind="lagging", outcome="other_endpoint")
        await running.says("failed_over")
        assert running.said("node_trouble", kind="suspect") is None
        assert running.node.source.name.startswith(second.url)
        assert await forks(running) == 0
        assert daemon_stage.count(first.url, "lagging", "other_endpoint") == 1


async def test_the_audit_tells_the_head_of_the_endpoint_that_was_believed(
    url: str, truth: str
) -> None:
    """The first endpoint lags on our branch; the second one, turned to, is on the main chain."""
    lagging = on_fork()
    lagging.go_to(COMMON + 2, branch=1)
    async with (
        serving(lagging) as first,
        serving(on_main()) as second,
        following(url, first.url, second.url) as running,
    ):
        await running.committed(BEYOND)
        row = await running.connection.fetchrow("SELECT new_number, new_hash FROM reorgs")
        assert row is not None
        assert row["new_number"] == BEYOND
        assert int(row["new_hash"], 16) == int(recording().main.blocks[BEYOND].hash, 16)
        await running.says("reorganised", new_head=BEYOND)
    await equal(url, truth)


# --- deep rollbacks -------------------------------------------------------------------------


async def test_a_deep_rollback_waits_where_nobody_confirms_it(url: str, truth: str) -> None:
    async with serving(on_main()) as node, following(url, node.url, **DEEP, **BRIEF) as running:
        await is_suspect(running, "no second endpoint confirms it yet")
        await running.says("rollback_unconfirmed", ancestor=COMMON, looks=3)
        await running.committed(BEYOND)
        await is_settled(running)
    await equal(url, truth)


async def test_a_deep_rollback_that_is_not_confirmed_changes_nothing(url: str) -> None:
    """The fork comes back before the patience ends."""
    head = on_main()
    async with serving(head) as node, following(url, node.url, **DEEP, **PATIENT) as running:
        await is_suspect(running, "no second endpoint confirms it yet")
        head.go_to(TIP, branch=1)
        await running.says("suspicion_over")
        assert await forks(running) == 0


async def test_a_deep_rollback_is_confirmed_by_a_second_endpoint(url: str, truth: str) -> None:
    async with (
        serving(on_main()) as first,
        serving(on_main()) as second,
        following(url, first.url, second.url, **DEEP, **PATIENT) as running,
    ):
        await running.committed(BEYOND)
        assert running.said("node_trouble", kind="suspect") is None
        assert second.counts["starknet_getBlockWithTxHashes"] > 0
        assert second.counts["starknet_getEvents"] == 0
    await equal(url, truth)


async def test_an_endpoint_below_our_height_confirms_by_the_first_abandoned_block(
    url: str, truth: str
) -> None:
    """The second endpoint's head is below ours, and already on the other branch."""
    async with (
        serving(on_main()) as first,
        serving(on_main(COMMON + 3)) as second,
        following(url, first.url, second.url, **DEEP, **PATIENT) as running,
    ):
        await running.committed(BEYOND)
        assert running.said("node_trouble", kind="suspect") is None
    await equal(url, truth)


async def test_endpoints_that_disagree_are_waited_for(url: str, truth: str) -> None:
    """The second one moves on our branch: nothing is taken back until it changes its mind."""
    other = on_fork()
    other.go_to(TIP - 1, branch=1)
    other.go_to(TIP, branch=1)
    looks = [0]

    def move(method: str, params: Any) -> Any:
        """Its head moves while it holds our branch."""
        if method != "starknet_getBlockWithTxHashes" or params["block_id"] != "latest":
            return None
        looks[0] += 1
        up = looks[0]
        return Fault(edit=lambda block: {**block, "block_number": block["block_number"] + up})

    async with (
        serving(on_main()) as first,
        serving(other, fault=move) as second,
        following(url, first.url, second.url, **DEEP, **BRIEF) as running,
    ):
        await is_suspect(running, "the endpoints disagree")

        async def many_looks() -> bool:
            return looks[0] > 10

        await running.until(many_looks)
        assert await forks(running) == 0
        other.go_to(BEYOND)
        await running.committed(BEYOND)
        assert await forks(running) == 1
    await equal(url, truth)


async def test_an_endpoint_that_stands_still_is_overruled(url: str, truth: str) -> None:
    """The second one got stuck on the abandoned branch, as juno did for hours."""
    async with (
        serving(on_main()) as first,
        serving(on_fork()) as second,
        following(url, first.url, second.url, **DEEP, **BRIEF) as running,
    ):
        await is_suspect(running, "the endpoints disagree")
        await running.says("endpoint_overruled")
        await running.committed(BEYOND)
    await equal(url, truth)


async def test_another_chain_is_found_before_anything_is_taken_back(url: str) -> None:
    """The endpoint became a node of another chain: asked again, it says so, and is left."""
    is_other = [False]

    def other_chain(method: str, _: Any) -> Any:
        return Fault(edit=lambda _: "0x1") if method == "starknet_chainId" and is_other[0] else None

    head = on_fork()
    async with serving(head, fault=other_chain) as node, following(url, node.url) as running:
        is_other[0] = True
        head.go_to(BEYOND)
        error = await running.ended()
        assert isinstance(error, errors.WrongChainError)
        assert await running.ask("SELECT block_number FROM cursor") == TIP
        assert await forks(running) == 0


async def test_a_node_without_our_blocks_asks_the_second_endpoint_first(url: str) -> None:
    """The first endpoint shares no block with us, the second has ours: they disagree."""

    def foreign(block: Any) -> Any:
        return {**block, "block_hash": hex(int(block["block_hash"], 16) ^ 1)}

    def fault(method: str, _: Any) -> Any:
        return Fault(edit=foreign) if method == "starknet_getBlockWithTxHashes" else None

    async with (
        serving(on_fork(), fault=fault) as first,
        serving(on_fork()) as second,
        following(url, first.url, second.url, **PATIENT) as running,
    ):
        await is_suspect(running, "the endpoints disagree")


# --- below the final block ------------------------------------------------------------------


async def test_below_the_final_block_is_refused_with_the_way_out(url: str) -> None:
    """Final was told up to block 89 of the fork; then the chain leaves it at block 84."""
    head = on_fork(finality_lag=2)
    async with serving(head) as node, following(url, node.url, **BRIEF) as running:
        final = "SELECT true FROM chain_head WHERE finalised_block = $1"
        await running.until(lambda: running.ask(final, TIP - 2))
        # The node's own pointer goes back with it; what was told once is kept.
        head.go_to(TIP + 1)
        head.finality_lag = 60
        await is_suspect(running, f"below block {TIP - 2}, which was told to be accepted on L1")
        reason = await running.ask("SELECT suspect_reason FROM chain_head")
        assert f"vesu-indexer reorg --to-block {COMMON} --yes" in reason
        looks = node.counts["starknet_getBlockWithTxHashes"]

        async def many_looks() -> bool:
            return node.counts["starknet_getBlockWithTxHashes"] > looks + 100

        await running.until(many_looks)
        assert await running.ask("SELECT block_number FROM cursor") == TIP
        assert await running.ask("SELECT finalised_block FROM chain_head") == TIP - 2


async def test_a_repair_leaves_final_what_is_final(url: str) -> None:
    """The log is read again from block 50 on, and the node tells no final block any more."""
    is_told = [True]

    def untold(method: str, params: Any) -> Any:
        is_final = method == "starknet_getBlockWithTxHashes" and params["block_id"] == "l1_accepted"
        return Fault(edit=refuse(24)) if is_final and not is_told[0] else None

    head = on_fork(finality_lag=2)
    async with serving(head, fault=untold) as node, following(url, node.url) as running:
        final = "SELECT true FROM chain_head WHERE finalised_block = $1"
        await running.until(lambda: running.ask(final, TIP - 2))
        is_told[0] = False
        await running.connection.execute(
            "INSERT INTO completeness_gaps (block_number, transaction_index, event_index, "
            "transaction_hash, from_address, difference) VALUES (50, 0, 0, $1, $1, 'missing')",
            "0x" + 64 * "0",
        )
        await running.until(lambda: running.ask("SELECT repaired_at FROM completeness_gaps"))
        await running.committed(TIP)
        assert await running.ask("SELECT cause FROM reorgs") == "repair"
        assert await running.ask("SELECT finalised_block FROM chain_head") == TIP - 2
