"""Recorded chains of Vesu V1 with strangers' pools on them, served to the commands as shipped.

The pools are made in the last blocks, which have the commitments that they then need. Settings are
the defaults; the recorded pools are listed, as Vesu's own are on mainnet.
"""

from __future__ import annotations

import collections
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

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

Answer = Sequence[int] | errors.RpcError

Told = Callable[[events_v1.Case, int], list[events_v1.Event]]
"""What is told of a case's pool in the third block, whose time is given."""

Answers = Callable[[int, int, int], Answer | None]
"""What is answered about a pool of the strangers' (and by its vToken): by pool, view and time.
None: what an honest pool answers."""


def nothing_else(_: int, __: int, ___: int) -> None:
    """Every pool answers honestly."""


class Grown:
    """A recorded chain with a pool of the strangers' for each case."""

    def __init__(
        self,
        strangers: events_v1.Strangers,
        cases: Sequence[events_v1.Case],
        told: Told,
        folder: Path,
        answers: Answers = nothing_else,
    ) -> None:
        self.recorded, self.strangers, self.cases = strangers.recorded, strangers, cases
        self._told, self._answers = told, answers
        self.first_block = first_block(self.recorded)
        rewriting.rewrite(self.recorded, folder, self._add)
        self.chain = recordings.load(folder)
        hashes, times = self.recorded.hashes, self.recorded.timestamps
        self._times = {hashes[block]: time for block, time in times.items()}
        manifest = self.recorded.manifest
        self.pools = {int(one["pool_id"], 16) for one in manifest["pools"].values()}
        """The recorded pools."""
        named = [manifest["contracts"], manifest["tokens"]]
        self._contracts = {int(one["address"], 16) for by in named for one in by.values()}

    def _add(self, block: rewriting.Block) -> None:
        for events in self._transactions(block["block_number"] - self.first_block):
            rewriting.append(block, [rewriting.emitted(*event) for event in events])

    def _transactions(self, step: int) -> Iterator[list[events_v1.Event]]:
        if step not in range(4):
            return
        now = self.recorded.timestamps[self.first_block + step]
        for case in self.cases:
            if step == 0:
                yield list(self.strangers.created(case.pool))
            elif step == 1:
                yield list(self.strangers.used(case.pool, now))
            elif step == 2:
                yield self._told(case, now)
            else:
                yield list(self.strangers.used_later(case.pool))

    def fault(self, method: str, params: Any) -> options.Fault | None:
        """Answers for the strangers' pools and for contracts that the recording has not."""
        if method != "starknet_call":
            return None
        request = params["request"]
        contract, view = (
            int(request[name], 16) for name in ("contract_address", "entry_point_selector")
        )
        pool = int((request["calldata"] or ["0x0"])[0], 16)
        if contract not in self._contracts:
            pool = contract - events_v1.V_TOKEN
        elif (
            contract not in (self.strangers.singleton, self.strangers.extension)
            or pool in self.pools
        ):
            return None
        now = self._times[params["block_id"]["block_hash"]]
        return options.Fault(result=lambda: self._answer(contract, pool, view, now))

    def _answer(self, contract: int, pool: int, view: int, now: int) -> list[str]:
        answer: Answer | None = errors.RpcError("Contract error", 40)
        if events_v1.FIRST_POOL <= pool < events_v1.V_TOKEN:
            answer = self._answers(pool, view, now)
            if answer is None and contract in self._contracts:
                answer = self.strangers.answers(pool, now).get(view)
        if answer is None:
            answer = errors.RpcError("Contract not found", 20)
        if isinstance(answer, errors.RpcError):
            raise answer
        return [hex(felt) for felt in answer]


def strangers_on(extension: str) -> events_v1.Strangers:
    """Strangers on the recorded chain of an extension."""
    return events_v1.Strangers(truth_v1.recorded(RECORDINGS[extension]), extension)


def first_block(recorded: truth_v1.RecordedV1) -> int:
    """The block in which pools are made."""
    return next(FIRST_BLOCK[one] for one, name in RECORDINGS.items() if name == recorded.name)


def settings(grown: Grown, node: str, url: str, **more: str) -> dict[str, str]:
    """The recorded pools are listed, as Vesu's own are on mainnet."""
    listed = ",".join(map(hex, grown.pools))
    return stage.environment(grown.recorded, node, url, VESU_TRUST_POOLS=listed, **more)


@contextlib.asynccontextmanager
async def indexed(
    grown: Grown, recording: recordings.Recording, **more: str
) -> AsyncIterator[tuple[str, dict[str, str], str]]:
    """A database that `run` filled from a recording, the settings, and the log of `run`.

    The node is still there.
    """
    faults = options.ServerOptions(fault=grown.fault)
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(recording, options=faults) as node,
    ):
        environ = settings(grown, node.url, url, **more)
        until = str(grown.recorded.last_block)
        run = ("run", "--until-block", until, "--no-serve")
        _, _, said = await stage.command(environ, *run, timeout=600)
        yield url, environ, said


async def hold(grown: Grown) -> tuple[dict[int, str], str]:
    """The recorded pools are what they were: for both cuts and by a replay; and `run` goes on.

    Batches are of one block each, or one of all. Returns why pools are frozen, and the log of
    `run`.
    """
    async with indexed(grown, grown.recorded.chain) as (url, _, _):
        honest = await chain.rows(url, valued=False)
        assert await frozen(url) == {}
    async with indexed(grown, grown.chain, VESU_INGEST_BATCH_EVENTS="1") as (url, environ, said):
        found, log = await chain.rows(url, valued=False), await chain.log(url)
        require_equal(honest, found, grown.pools)
        reasons = await frozen(url)
        assert not grown.pools & {*reasons}
        await goes_on(grown, environ)
        assert await chain.rows(url, valued=False) == found
        environ["VESU_NODE_URLS"] = NOWHERE
        await stage.command(environ, "replay", "--from-block", "0", timeout=600)
        assert await chain.rows(url, valued=False) == found, "replayed"
    async with indexed(grown, grown.chain, VESU_INGEST_BATCH_EVENTS="1000000") as (url, _, _):
        assert await chain.rows(url, valued=False) == found, "one batch"
        assert await chain.log(url) == log, "one batch"
    return reasons, said


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


async def goes_on(grown: Grown, environ: dict[str, str]) -> None:
    """The daemon is healthy, answers every list, and ends well."""
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    theirs = chance.sample([case.pool for case in grown.cases], 8)
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
