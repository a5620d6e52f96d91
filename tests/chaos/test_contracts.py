"""What invented chains are reconciled with: contracts that know nothing of the indexer's maths."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import chain as chains
from indexer.recording import chain, options, server
from tests import postgres
from tests.acceptance import stage
from tests.chaos import contracts, soak

BLOCKS, FORK_EVERY, FORK_DEPTH = 60, 20, 3


class Stage:
    """A node of an invented chain, and a database that `run` filled from it."""

    def __init__(self, folder: Path) -> None:
        chains.build_story(folder, BLOCKS, FORK_EVERY, FORK_DEPTH)
        self.loaded = chain.load(folder)
        self.recorded = soak.Recorded(folder)
        self.contracts = contracts.Contracts(self.loaded)
        self.changed = ""
        """The view whose answers are one too high."""
        self.environ: dict[str, str] = {}

    def fault(self, method: str, params: Any) -> options.Fault | None:
        found = self.contracts.answer(method, params)
        view = params["request"]["entry_point_selector"] if method == "starknet_call" else ""
        if found is None or self.contracts.view(view) != self.changed:
            return found
        return options.Fault(result=lambda: _one_more(found))


def _one_more(fault: options.Fault) -> list[str]:
    assert fault.result is not None
    felts = fault.result()
    return [hex(int(felts[0], 16) + 1), *felts[1:]]


@pytest.fixture(scope="module")
async def staged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("invented"))
    settings = options.ServerOptions(fault=made.fault)
    async with (
        postgres.fresh_database() as url,
        server.RecordingServer(made.loaded, options=settings) as node,
    ):
        made.environ = stage.environment(made.recorded, node.url, url)
        until = str(made.loaded.main.last)
        await stage.command(made.environ, "run", "--until-block", until, "--no-serve")
        yield made


async def test_tables_of_an_invented_chain_equal_its_contracts(staged: Stage) -> None:
    staged.changed = ""
    last = staged.loaded.main.last
    for block in (last, last - 7, last - BLOCKS + 2):
        found = await stage.json_of(staged.environ, "reconcile", "--block", str(block), expect=None)
        assert found["is_equal"], found["differences"]
        views = {name: count["compared"] for name, count in found["views"].items()}
        print(f"block {block}: {views}")
        assert all(views[view] for view in ("asset_config", "position", "pairs", "balance_of"))
    assert views["check_collateralization"]


@pytest.mark.parametrize(
    "view",
    [
        *("asset_config", "interest_rate_config", "pair_config", "pairs", "position"),
        *("check_collateralization", "balance_of", "total_supply", "convert_to_assets", "curator"),
    ],
)
async def test_a_view_that_answers_one_more_is_named(staged: Stage, view: str) -> None:
    staged.changed = view
    found = await stage.json_of(staged.environ, "reconcile", expect=1)
    assert view in {difference["view"] for difference in found["differences"]}
    assert all(count["differences"] == 0 for name, count in found["views"].items() if name != view)
