"""V1: each felt of each event that is emitted for a stranger's pool, at the limits of its types.

Recorded chains of all three extensions are served with pools of strangers on them, one for each
case, in the last blocks and with the commitments that these then have. The commands run as they
are shipped, with default settings; the recorded pools are listed, as Vesu's are on mainnet.
"""

from __future__ import annotations

import collections
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from indexer import errors
from indexer.recording import chain as recordings
from indexer.recording import options, server
from tests import postgres
from tests.acceptance import api_client, stage, test_http, truth_v1
from tests.hostile import chain, events_v1, questions, rewriting
from tests.hostile.chain import MALLORY

FIRST_BLOCK = {"extension_v0": 46, "extension_v10": 74, "extension_v11": 110}
"""Pools are made in this block, used in the next, told of in the third and used in the fourth."""

RECORDINGS = dict(
    zip(FIRST_BLOCK, ("devnet-v10-genesis", "devnet-v10-migration", "devnet-v11"), strict=True)
)
SEED = 20261129
NOWHERE = "http://127.0.0.1:1"


class Grown:
    """A recorded chain with strangers on it, for a share of the cases."""

    def __init__(self, extension: str, share: float, folder: Path) -> None:
        self.recorded = truth_v1.recorded(RECORDINGS[extension])
        self.strangers = events_v1.Strangers(self.recorded, extension)
        self.first_block = FIRST_BLOCK[extension]
        dice = random.Random(SEED)
        self.cases = [
            case
            for case in self.strangers.cases(self._time(self.first_block + 2))
            if case.changed is None or dice.random() < share
        ]
        rewriting.rewrite(self.recorded, folder, self._add)
        self.chain = recordings.load(folder)
        hashes, times = self.recorded.hashes, self.recorded.timestamps
        self._times = {hashes[block]: time for block, time in times.items()}
        manifest = self.recorded.manifest
        self.pools = {int(one["pool_id"], 16) for one in manifest["pools"].values()}
        """The recorded pools."""
        named = [manifest["contracts"], manifest["tokens"]]
        self._contracts = {int(one["address"], 16) for by in named for one in by.values()}

    def _time(self, block: int) -> int:
        return self.recorded.timestamps[block]

    def _add(self, block: rewriting.Block) -> None:
        for events in self._transactions(block["block_number"] - self.first_block):
            rewriting.append(block, [rewriting.emitted(*event) for event in events])

    def _transactions(self, step: int) -> Iterator[list[events_v1.Event]]:
        if step not in range(4):
            return
        now = self._time(self.first_block + step)
        for case in self.cases:
            if step == 0:
                yield list(self.strangers.created(case.pool))
            elif step == 1:
                yield list(self.strangers.used(case.pool, now))
            elif step == 2 and (case.event, case.changed) == ("LiquidatePosition", None):
                yield [self.strangers.context(case.pool, now), case.emitted]
            elif step == 2:
                yield [case.emitted]
            else:
                yield list(self.strangers.used_later(case.pool))

    def fault(self, method: str, params: Any) -> options.Fault | None:
        """Answers for the strangers' pools and for contracts that the recording has not."""
        if method != "starknet_call":
            return None
        request = params["request"]
        contract, view = (
            int(request[one], 16) for one in ("contract_address", "entry_point_selector")
        )
        pool = int((request["calldata"] or ["0x0"])[0], 16)
        if contract not in self._contracts:
            return options.Fault(result=_raising("Contract not found", 20))
        if contract not in (self.strangers.singleton, self.strangers.extension):
            return None
        if pool in self.pools:
            return None
        felts = None
        if events_v1.FIRST_POOL <= pool < events_v1.V_TOKEN:
            now = self._times[params["block_id"]["block_hash"]]
            felts = self.strangers.answers(pool, now).get(view)
        if felts is None:
            return options.Fault(result=_raising("Contract error", 40))
        return options.Fault(result=lambda: [hex(felt) for felt in felts])


def _raising(message: str, code: int) -> Callable[[], Any]:
    def refuse() -> Any:
        raise errors.RpcError(message, code)

    return refuse


@pytest.fixture(params=FIRST_BLOCK)
def extension(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[0.1, pytest.param(1.0, marks=pytest.mark.heavy)])
def grown(extension: str, request: pytest.FixtureRequest, tmp_path: Path) -> Grown:
    """One case in ten, or all of them."""
    return Grown(extension, request.param, tmp_path)


def settings(grown: Grown, node: str, url: str, **more: str) -> dict[str, str]:
    """The recorded pools are listed, as Vesu's own are on mainnet."""
    listed = ",".join(map(hex, grown.pools))
    return stage.environment(grown.recorded, node, url, VESU_TRUST_POOLS=listed, **more)


@contextlib.asynccontextmanager
async def indexed(
    grown: Grown, recording: recordings.Recording, **more: str
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """A database that `run` filled from a recording, and the settings; the node is still there."""
    faults = options.ServerOptions(fault=grown.fault)
    async with (
        postgres.fresh_database() as url,
        server.RecordingServer(recording, options=faults) as node,
    ):
        environ = settings(grown, node.url, url, **more)
        until = str(grown.recorded.last_block)
        await stage.command(environ, "run", "--until-block", until, "--no-serve", timeout=600)
        yield url, environ


async def test_no_field_at_its_limits_changes_another_pool(grown: Grown) -> None:
    """So for a batch of one block each, for one of all, and for a replay; and `run` goes on."""
    async with indexed(grown, grown.recorded.chain) as (url, _):
        honest = await chain.rows(url, valued=False)
        assert await chain.reasons(url) == {}
    async with indexed(grown, grown.chain, VESU_INGEST_BATCH_EVENTS="1") as (url, environ):
        found = await chain.rows(url, valued=False)
        log = await chain.log(url)
        require_equal(honest, found, grown.pools)
        require_told(await frozen(url), grown.cases)
        assert not grown.pools & {*await frozen(url)}
        await goes_on(grown, environ)
        assert await chain.rows(url, valued=False) == found
        environ["VESU_NODE_URLS"] = NOWHERE
        await stage.command(environ, "replay", "--from-block", "0", timeout=600)
        assert await chain.rows(url, valued=False) == found, "replayed"
    async with indexed(grown, grown.chain, VESU_INGEST_BATCH_EVENTS="1000000") as (url, _):
        assert await chain.rows(url, valued=False) == found, "one batch"
        assert await chain.log(url) == log, "one batch"


def require_equal(
    honest: dict[str, list[Any]], found: dict[str, list[Any]], pools: set[int]
) -> None:
    """Every row of the recorded chain is there, and no other that names one of its pools."""
    names = [f"0x{pool:064x}" for pool in pools]
    for table, rows in honest.items():
        lost = collections.Counter(rows) - collections.Counter(found[table])
        assert not lost, f"{table}: {[*lost][:3]}"
        new = collections.Counter(found[table]) - collections.Counter(rows)
        theirs = [row for row in new if any(name in row for name in names)]
        assert not theirs, f"{table}: {theirs[:3]}"
    assert honest["vesu_positions"]


async def frozen(url: str) -> dict[int, str]:
    """Why pools are frozen, by their id; also those that have no pair yet."""
    statement = "SELECT pool_id, quarantine_reason FROM contracts WHERE quarantine_reason > ''"
    return {int(pool, 16): reason for pool, reason in await postgres.fetch(url, statement)}


def require_told(reasons: dict[int, str], cases: list[events_v1.Case]) -> None:
    """Pools are frozen for what was changed in an event alone, and not most of them."""
    print(f"{len(cases)} pools, {len(reasons)} frozen")
    frozen = [case for case in cases if case.pool in reasons]
    as_they_should_be = [case for case in frozen if case.changed is None]
    assert not as_they_should_be, [(case.event, reasons[case.pool]) for case in as_they_should_be]
    assert 0 < len(frozen) < len(cases) / 2
    assert all(reason.startswith(("event (", "the contract's ")) for reason in reasons.values())


async def goes_on(grown: Grown, environ: dict[str, str]) -> None:
    """The daemon is healthy, answers every list, and ends well."""
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    theirs = chance.sample([case.pool for case in grown.cases], 20)
    async with test_http.daemon(environ) as running:
        await running.health(200, committed_block=grown.recorded.last_block)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
            refused = await questions.unanswered(
                api_client.Client(session),
                MALLORY,
                grown.first_block,
                [*grown.pools, *theirs],
            )
        await running.health(200)
        code, _, log = await running.stop()
    assert not refused, "\n".join(f"{key}: {body}" for key, body in refused.items())
    assert code == 0, log
