"""Sums over the tables, watched while indexing: a break is recorded and shown, not repaired."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from indexer.recording import playhead, server
from tests import postgres
from tests.acceptance import stage, test_http, truth

SPOIL = (
    "UPDATE vesu_positions SET {column} = {column} + 3 WHERE id = (SELECT p.id"
    " FROM vesu_positions p WHERE p.kind = 'borrow' AND p.{column} > 0 ORDER BY"
    " (SELECT count(*) FROM vesu_asset_history h WHERE h.pool_id = p.pool_id AND"
    " h.asset_address = p.{asset}) DESC, p.id LIMIT 1) RETURNING id, pool_address, {asset} AS asset"
)


@pytest.fixture
async def fresh() -> AsyncIterator[str]:
    async with postgres.fresh_database(migrated=True) as url:
        yield url


async def test_a_sound_run_breaks_nothing(indexed_url: str) -> None:
    assert not await postgres.fetch(indexed_url, "SELECT * FROM invariant_breaks")


@pytest.mark.parametrize(
    ("column", "asset", "name"),
    [
        ("collateral_shares", "collateral_address", "collateral_shares"),
        ("nominal_debt", "debt_address", "nominal_debt"),
    ],
)
async def test_a_break_is_recorded_and_shown_until_it_is_gone(
    fresh: str, recorded: truth.Recorded, column: str, asset: str, name: str
) -> None:
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 60)
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, fresh)
        await stage.command(environ, "run", "--until-block", "60", "--no-serve")
        (spoiled,) = await postgres.fetch(fresh, SPOIL.format(column=column, asset=asset))
        what = f"v2 {spoiled['pool_address']} {spoiled['asset']}"
        head.go_to(84)
        _, _, log = await stage.command(environ, "run", "--until-block", "84", "--no-serve")
        assert "sum_broken" in log
        status = await stage.json_of(environ, "status", expect=None)
        (found,) = status["invariant_breaks"]
        assert (found["invariant"], found["what"]) == (name, what)
        assert int(found["found"]) == int(found["expected"]) + 3
        assert 60 < found["first_block"] <= found["last_block"] <= 84

        async with test_http.daemon(environ) as running:
            head.go_to(110)
            told = await running.health(503, committed_block=110)
            # The prices of a block are sampled after it: it may lack them for a moment.
            names = {one["name"] for one in told["reasons"]}
            assert names - {"stale_prices"} == {"broken_sums"}
            assert what in told["reason"]
            _, _, metrics = await running.ask("/metrics")
            assert 'vesu_unhealthy{reason="broken_sums"} 1.0' in metrics
            assert 'vesu_unhealthy{reason="check_not_done"} 0.0' in metrics
            assert "vesu_invariant_breaks_standing 1.0" in metrics
            assert "vesu_invariant_breaks_total 0.0" in metrics  # the same one, no new
            await postgres.execute(
                fresh,
                f"UPDATE vesu_positions SET {column} = {column} - 3 WHERE id = '{spoiled['id']}'",
            )
            head.go_to(recorded.last_block)
            await running.health(200, committed_block=recorded.last_block)
    status = await stage.json_of(environ, "status", expect=None)
    assert status["invariant_breaks"] == []
    (row,) = await postgres.fetch(fresh, "SELECT mended_block FROM invariant_breaks")
    assert row["mended_block"] is not None
