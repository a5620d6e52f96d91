"""Proofs are committed without waiting for the disk, gaps are not: a lost proof is made again."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.audit import log_verification, proof_batches
from indexer.log import verified
from tests.integration import chain_stage, daemon_stage
from tests.integration.daemon_stage import Playhead, recording, serving

LAST = 30

WATCH_COMMITS = """
    CREATE TABLE waited (setting text);
    CREATE FUNCTION note_setting() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO waited VALUES (current_setting('synchronous_commit'));
        RETURN NULL;
    END $$;
    DELETE FROM verified_ranges;
    CREATE CONSTRAINT TRIGGER note_setting AFTER UPDATE ON blocks
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_setting();
    CREATE CONSTRAINT TRIGGER note_setting AFTER INSERT OR UPDATE ON verified_ranges
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_setting();
    SET synchronous_commit = 'local'
"""
"""What the setting is when a transaction that notes proofs or gaps is committed."""


@pytest.mark.parametrize(
    ("spoiled", "setting"),
    [
        ("SELECT", "off"),
        (
            "DELETE FROM event_log WHERE block_number = (SELECT max(block_number) FROM event_log)",
            "local",
        ),
    ],
    ids=["proofs", "a gap"],
)
async def test_only_gaps_wait_for_the_disk(spoiled: str, setting: str) -> None:
    head = Playhead.at_block(recording(), LAST)
    async with (
        daemon_stage.filled(head, LAST) as url,
        serving(head) as node,
        chain_stage.connected(node.url) as connected,
    ):
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(spoiled)
            await connection.execute("RESET session_replication_role")
            await connection.execute(WATCH_COMMITS)
            committed = await log_verification.committed(connection)
            factory = recording().manifest["contracts"]["pool_factory"]["address"]
            gaps = 0
            async for outcome in log_verification.sweep(
                connected,
                connection,
                [int(factory, 16)],
                committed,
                proof_batches.of_spans([verified.Span(0, LAST)]),
            ):
                gaps += len(outcome.gaps)
            found = {row["setting"] for row in await connection.fetch("SELECT * FROM waited")}
            assert await connection.fetchval("SHOW synchronous_commit") == "local"
        finally:
            await connection.close()
    assert (gaps > 0) == (setting == "local")
    # Of the blocks with a gap others are proved, in batches of their own.
    assert setting in found
    assert gaps or found == {"off"}
