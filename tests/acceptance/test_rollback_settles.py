"""What can never settle by itself settles with the rollback that removes its cause."""

from __future__ import annotations

import asyncpg

from indexer.recording import playhead, server
from tests import postgres
from tests.acceptance import stage, truth

STANDING = "SELECT invariant, what FROM invariant_breaks WHERE mended_block IS NULL"
DIFFERENCES = "SELECT row_id FROM reconciliation_differences WHERE resolved_by IS NULL"
SPOIL = (
    "UPDATE vesu_positions SET nominal_debt = nominal_debt + 3 WHERE id = $1 "
    "RETURNING 'v2 ' || pool_id || ' ' || debt_address AS what"
)
OWING = "SELECT id, user_id, pool_id FROM vesu_positions WHERE nominal_debt > 0 ORDER BY id"
CHECK = """
INSERT INTO reconciliations (origin, block_number, block_hash, committed_block, scope, rows, asked,
    compared, refused, differences, views, seconds)
SELECT 'run', block_number, block_hash, block_number, 'all', 1, 1, 1, 0, 3, '{}', 1 FROM cursor
"""
DIFFER = """
INSERT INTO reconciliation_differences
SELECT max(id), $1, $2, 'nominal_debt', $3, $4, $5, 'position', '0x1', '{}', '1', '2', NULL
FROM reconciliations
"""


class Forked:
    """A database that follows the branch that the recorded chain gives up."""

    def __init__(self, recorded: truth.Recorded, url: str) -> None:
        self.recorded = recorded
        self.url = url
        self.loaded = recorded.chain
        self.fork = self.loaded.forks[0]
        self.head = playhead.Playhead.at_block(self.loaded, self.fork.common, story=True)
        self.node = server.RecordingServer(self.loaded, self.head)

    async def run(self, block: int, branch: int = 0) -> None:
        """Index up to a block of a branch."""
        self.head.go_to(block, branch=branch)
        environ = stage.environment(self.recorded, self.node.url, self.url)
        await stage.command(environ, "run", "--until-block", str(block), "--no-serve")

    async def fetch(self, statement: str, *args: object) -> list[asyncpg.Record]:
        return await postgres.fetch(self.url, statement, *args)

    def account(self, name: str) -> int:
        return int(self.recorded.manifest["accounts"][name], 16)


async def test_a_break_above_the_ancestor_goes_with_its_cause(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """Grace's row is changed by hand; her liquidation on the abandoned branch writes it again."""
    forked = Forked(recorded, migrated_database_url)
    async with forked.node:
        await forked.run(forked.fork.common)
        prime = int(recorded.manifest["pools"]["prime"]["address"], 16)
        (grace,) = [
            row["id"]
            for row in await forked.fetch(OWING)
            if (int(row["user_id"], 16), int(row["pool_id"], 16))
            == (forked.account("grace"), prime)
        ]
        (spoiled,) = await forked.fetch(SPOIL, grace)
        await forked.run(forked.fork.last, branch=1)
        found = [tuple(row) for row in await forked.fetch(STANDING)]
        assert ("nominal_debt", spoiled["what"]) in found
        await forked.run(forked.fork.last + 1)
    assert await forked.fetch(STANDING) == []


async def test_a_break_that_agreed_only_above_the_ancestor_stands_again(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    forked = Forked(recorded, migrated_database_url)
    async with forked.node:
        await forked.run(forked.fork.common)
        gone = {forked.account("grace"), forked.account("frank")}
        owing = await forked.fetch(OWING)
        other = next(row["id"] for row in owing if int(row["user_id"], 16) not in gone)
        (spoiled,) = await forked.fetch(SPOIL, other)
        await forked.run(forked.fork.last, branch=1)
        await postgres.execute(
            forked.url,
            "DELETE FROM invariant_breaks",
            f"INSERT INTO invariant_breaks SELECT 'nominal_debt', '{spoiled['what']}', 3, 0, 60, "
            "block_number, now(), block_number FROM cursor",
        )
        assert await forked.fetch(STANDING) == []
        await forked.run(forked.fork.last + 1)
    found = await forked.fetch(STANDING + " AND first_block = 60")
    assert [tuple(row) for row in found] == [("nominal_debt", spoiled["what"])]


async def test_a_difference_in_a_row_that_is_gone_is_closed(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """Differences in a position of the abandoned branch, in its version, and in one that stays."""
    forked = Forked(recorded, migrated_database_url)
    async with forked.node:
        await forked.run(forked.fork.last, branch=1)
        await postgres.execute(forked.url, CHECK)
        newest = (
            "SELECT id::text, block_number, transaction_index, event_index "
            "FROM vesu_position_history ORDER BY created_at DESC, id, block_number LIMIT 1"
        )
        oldest = newest.replace("created_at DESC", "created_at")
        (gone,), (stays,) = await forked.fetch(newest), await forked.fetch(oldest)
        assert gone["block_number"] > forked.fork.common > stays["block_number"]
        unversioned = (None, None, None)
        await forked.fetch(DIFFER, "vesu_positions", gone["id"], *unversioned)
        await forked.fetch(DIFFER, "vesu_position_history", *tuple(gone))
        await forked.fetch(DIFFER, "vesu_positions", stays["id"], *unversioned)
        assert len(await forked.fetch(DIFFERENCES)) == 3
        await forked.run(forked.fork.last + 1)
    assert [row["row_id"] for row in await forked.fetch(DIFFERENCES)] == [stays["id"]]
