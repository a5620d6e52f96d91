"""A view that fails in any words, over a real socket, for as long as it is asked."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from indexer.cairo import selector
from indexer.recording import options, server
from tests import odd_gateway, postgres
from tests.acceptance import stage, truth
from tests.integration import faults

pytestmark = pytest.mark.heavy

SEED = 20272


class Failing:
    """Fails one view of one token whenever it is asked, each time in other words."""

    def __init__(self, view: str, seed: int) -> None:
        self._dice = random.Random(seed)
        self._selector = selector.of(view)
        self.token: int | None = None
        self.failed = 0

    def __call__(self, method: str, params: Any) -> options.Fault | None:
        if method != "starknet_call":
            return None
        asked = params["request"]
        if int(asked["entry_point_selector"], 16) != self._selector:
            return None
        contract = int(asked["contract_address"], 16)
        self.token = self.token or contract
        if contract != self.token:
            return None
        self.failed += 1
        refusal = odd_gateway.refusal(self._dice, odd_gateway.PASSING_WORDS)
        if refusal.is_error_object:
            said = json.loads(refusal.body)
            return options.Fault(edit=faults.refuse(said["code"], said["message"]))
        if refusal.is_cut:
            return options.Fault(close_after=0)
        return options.Fault(status=refusal.status, body=refusal.body.encode())


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
async def test_a_view_that_no_node_answers_holds_up_no_block_for_good(
    recorded: truth.Recorded, indexed_url: str, seed: int
) -> None:
    dice = random.Random(seed)
    view = dice.choice(["symbol", "name", "decimals"])
    failing = Failing(view, seed)
    print(f"seed {seed}: {view}")
    async with postgres.fresh_database(migrated=True) as url:
        async with server.RecordingServer(
            recorded.chain, options=options.ServerOptions(fault=failing)
        ) as node:
            environ = stage.environment(recorded, node.url, url)
            until = str(recorded.last_block)
            _, _, err = await stage.command(environ, "run", "--until-block", until, "--no-serve")
            assert '"event": "view_unanswered"' in err
            status = await stage.json_of(environ, "status", expect=None)
            (one,) = status["unanswered_views"]
            assert (int(one["contract"], 16), one["view"]) == (failing.token, view)
            assert one["pools"]
        async with server.RecordingServer(recorded.chain) as node:
            environ = environ | {"VESU_NODE_URLS": node.url}
            found = await stage.json_of(environ, "verify", expect=1)
            assert [one["view"] for one in found["observations"]["differing"]] == [view]
            status = await stage.json_of(environ, "status", expect=None)
            assert status["unanswered_views"] == []
        digest = await stage.json_of(environ, "digest")
        assert digest == await stage.json_of(environ | {"DATABASE_URL": indexed_url}, "digest")
