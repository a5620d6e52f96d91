"""Events that nobody can decode: kept, counted, shown; decoded by a replay once an ABI is there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.cairo import selector
from indexer.recording import chain, server
from tests import postgres
from tests.acceptance import refusal, stage, test_http, truth
from tests.hostile import rewriting

NOWHERE = "http://127.0.0.1:1"
DONATE = hex(selector.of("Donate"))
DELEGATION = hex(selector.of("ModifyDelegation"))
STRANGE = hex(selector.of("Frobnicated"))

ABI: list[dict[str, Any]] = [
    {
        "type": "event",
        "kind": "enum",
        "name": "pool::Event",
        "variants": [
            {"name": "Frobnicated", "type": "pool::Frobnicated", "kind": "nested"},
            {"name": "ModifyDelegation", "type": "pool::ModifyDelegation", "kind": "nested"},
        ],
    },
    {
        "type": "event",
        "kind": "struct",
        "name": "pool::Frobnicated",
        "members": [
            {"name": "who", "type": "core::felt252", "kind": "key"},
            {
                "name": "amounts",
                "type": "core::array::Array::<core::integer::u256>",
                "kind": "data",
            },
        ],
    },
    {
        "type": "event",
        "kind": "struct",
        "name": "pool::ModifyDelegation",
        "members": [
            {"name": "delegator", "type": "core::felt252", "kind": "key"},
            {"name": "delegatee", "type": "core::felt252", "kind": "key"},
            {"name": "delegation", "type": "core::bool", "kind": "data"},
            {"name": "until", "type": "core::integer::u64", "kind": "data"},
        ],
    },
]


def upgraded(pools: set[int]) -> Callable[[rewriting.Block], None]:
    """Pools emit, beside what they do, one event unknown and one of a new layout."""

    def change(block: rewriting.Block) -> None:
        for transaction in block["transactions"]:
            for event in transaction["receipt"]["events"]:
                if int(event["from_address"], 16) not in pools:
                    continue
                if event["keys"][0] == DELEGATION:
                    event["data"] = [*event["data"], "0x63"]
                elif event["keys"][0] == DONATE:
                    event["keys"] = [STRANGE, "0x7"]
                    event["data"] = ["0x2", "0x5", "0x0", "0x6", "0x1"]

    return change


@pytest.fixture(scope="module")
async def node(
    recorded: truth.Recorded, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    pools = {int(pool["address"], 16) for pool in recorded.manifest["pools"].values()}
    folder = tmp_path_factory.mktemp("upgraded")
    rewriting.rewrite(recorded, folder, upgraded(pools))
    async with server.RecordingServer(chain.load(folder)) as running:
        yield running.url


@pytest.fixture
async def filled(recorded: truth.Recorded, node: str) -> AsyncIterator[str]:
    async with postgres.fresh_database(migrated=True) as url:
        environ = stage.environment(recorded, node, url)
        await stage.command(environ, "run", "--until-block", str(recorded.last_block), "--no-serve")
        yield url


async def test_a_replay_decodes_them_once_an_abi_is_there(
    filled: str, recorded: truth.Recorded, tmp_path: Path
) -> None:
    environ = stage.environment(recorded, NOWHERE, filled)
    status = await stage.json_of(environ, "status", expect=None)
    counted = {(one["contract"], one["selector"]): one["events"] for one in status["undecoded"]}
    print(f"undecoded before: {counted}")
    assert set(counted) == {("pool_v2", STRANGE), ("pool_v2", DELEGATION)}
    _, _, err = await stage.command(environ, "events", "--name", "Frobnicated", expect=2)
    assert "the log holds no event named 'Frobnicated'" in err
    before = await stage.json_of(environ, "digest")

    # Without the ABI a replay changes nothing.
    await stage.command(environ, "replay", "--from-block", "0")
    assert await stage.json_of(environ, "digest") == before

    (tmp_path / "pool_v2.next.json").write_text(json.dumps({"abi": json.dumps(ABI)}))
    environ |= {"VESU_ABI_FOLDER": str(tmp_path)}
    await stage.command(environ, "replay", "--from-block", "0")
    found = await stage.json_of(environ, "events", "--name", "Frobnicated")
    assert found
    for event in found:
        assert event["args"] == {
            "who": "0x" + "7".zfill(64),
            "amounts": ["5", str(6 + (1 << 128))],
        }
    delegations = await stage.json_of(environ, "events", "--name", "ModifyDelegation")
    assert {event["args"]["until"] for event in delegations} == {"99"}
    status = await stage.json_of(environ, "status", expect=None)
    assert status["undecoded"] == []
    after = await stage.json_of(environ, "digest")
    changed = {name for name in before["tables"] if before["tables"][name] != after["tables"][name]}
    assert changed == {"events"}
    # The release alone knows them no longer: the names are derived, the felts are the log.
    del environ["VESU_ABI_FOLDER"]
    await stage.command(environ, "replay", "--from-block", "0")
    assert await stage.json_of(environ, "digest") == before


async def test_metrics_count_them_by_contract_and_selector(
    recorded: truth.Recorded, node: str
) -> None:
    async with postgres.fresh_database(migrated=True) as url:
        environ = stage.environment(recorded, node, url)
        async with test_http.daemon(environ) as running:
            await running.health(200, committed_block=recorded.last_block)
            _, _, metrics = await running.ask("/metrics")
    lines = [
        line for line in metrics.splitlines() if line.startswith("vesu_undecoded_events_total")
    ]
    assert any(STRANGE in line and 'contract="pool_v2"' in line for line in lines), lines
    assert any(DELEGATION in line for line in lines), lines


async def test_a_release_that_knows_the_abi_decodes_at_once(
    recorded: truth.Recorded, node: str, tmp_path: Path
) -> None:
    (tmp_path / "pool_v2.json").write_text(json.dumps(ABI))
    async with postgres.fresh_database(migrated=True) as url:
        environ = stage.environment(recorded, node, url, VESU_ABI_FOLDER=str(tmp_path))
        await stage.command(environ, "run", "--until-block", str(recorded.last_block), "--no-serve")
        assert await stage.json_of(environ, "events", "--name", "Frobnicated")
        status = await stage.json_of(environ, "status", expect=None)
        assert status["undecoded"] == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("pool_v3.json", "[]", "must be named by a kind of contract"),
        ("pool_v2.json", "{", "is not an ABI"),
        ("pool_v2.json", "[]", "it has no events"),
        ("pool_v2.json", "7", "is not an ABI"),
        ("pool_v2.json", json.dumps(ABI[:1]), "is not an ABI"),
    ],
)
async def test_a_file_that_is_no_abi_is_refused(
    indexed_url: str, recorded: truth.Recorded, tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    environ = stage.environment(recorded, NOWHERE, indexed_url, VESU_ABI_FOLDER=str(tmp_path))
    line = await refusal.refused(environ, "replay", "--from-block", "0", code=2)
    assert said in line
    assert name in line


async def test_a_folder_that_is_not_there_is_refused(
    indexed_url: str, recorded: truth.Recorded
) -> None:
    environ = stage.environment(recorded, NOWHERE, indexed_url, VESU_ABI_FOLDER="gone")
    line = await refusal.refused(environ, "replay", "--from-block", "0", code=2)
    assert "abi.folder" in line
