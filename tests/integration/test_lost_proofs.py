"""Proofs are committed without waiting for the disk, gaps are not: a lost proof is made again."""

from __future__ import annotations

import pytest

from tests.integration import proof_stage

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
    async with proof_stage.filled(LAST) as (node, connection):
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(spoiled)
        await connection.execute("RESET session_replication_role")
        await connection.execute(WATCH_COMMITS)
        outcomes = await proof_stage.sweep(node, connection, LAST)
        found = {row["setting"] for row in await connection.fetch("SELECT * FROM waited")}
        assert await connection.fetchval("SHOW synchronous_commit") == "local"
    gaps = sum(len(outcome.gaps) for outcome in outcomes)
    assert (gaps > 0) == (setting == "local")
    # Of the blocks with a gap others are proved, in batches of their own.
    assert setting in found
    assert gaps or found == {"off"}
