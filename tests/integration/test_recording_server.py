"""The recorded chain over real HTTP: shapes, profiles, errors, batches, reorgs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from indexer.recording import playhead
from tests.integration import recording_stage
from tests.integration.recording_stage import (
    MAIN,
    PRIME_POOL,
    RECORDING,
    Stage,
    number,
    recorded,
)

LATEST = "latest"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with recording_stage.opened() as made:
        yield made


async def test_the_chain_introduces_itself(stage: Stage) -> None:
    client = await stage()
    assert await client.result("specVersion") == "0.10.2"
    assert await client.result("chainId") == "0x534e5f5345504f4c4941"
    assert await client.result("blockNumber", []) == 125
    assert await client.result("syncing") is False
    assert await client.result("blockHashAndNumber") == {
        "block_hash": MAIN[125].hash,
        "block_number": 125,
    }
    assert stage.running[0].counts["starknet_blockNumber"] == 1


async def test_block_with_receipts_is_what_the_node_said(stage: Stage) -> None:
    client = await stage()
    for block_id in (number(29), {"block_hash": MAIN[29].hash}):
        result = await client.result("getBlockWithReceipts", {"block_id": block_id})
        assert result == recorded(MAIN[29])
    assert await client.result("getBlockWithReceipts", [LATEST]) == recorded(MAIN[125])


async def test_the_other_block_shapes_follow_from_it(stage: Stage) -> None:
    client = await stage()
    whole = recorded(MAIN[29])
    header = {key: value for key, value in whole.items() if key != "transactions"}
    hashes = [item["receipt"]["transaction_hash"] for item in whole["transactions"]]
    light = await client.result("getBlockWithTxHashes", [number(29)])
    assert light == {**header, "transactions": hashes}
    full = await client.result("getBlockWithTxs", [number(29)])
    assert [item.pop("transaction_hash") for item in full["transactions"]] == hashes
    assert full["transactions"] == [item["transaction"] for item in whole["transactions"]]
    assert await client.result("getBlockTransactionCount", [number(29)]) == len(hashes)


async def test_transactions_by_hash_and_place(stage: Stage) -> None:
    client = await stage()
    item = recorded(MAIN[29])["transactions"][1]
    name = {"transaction_hash": item["receipt"]["transaction_hash"]}
    receipt = await client.result("getTransactionReceipt", name)
    assert receipt == {**item["receipt"], "block_hash": MAIN[29].hash, "block_number": 29}
    transaction = {**name, **item["transaction"]}
    assert await client.result("getTransactionByHash", name) == transaction
    place = [number(29), 1]
    assert await client.result("getTransactionByBlockIdAndIndex", place) == transaction
    assert await client.code("getTransactionByBlockIdAndIndex", [number(29), 2]) == 27
    assert await client.code("getTransactionReceipt", ["0x1"]) == 29


async def test_status_of_succeeded_and_reverted_transactions(stage: Stage) -> None:
    client = await stage()
    receipts = [
        item["receipt"] for block in MAIN.values() for item in recorded(block)["transactions"]
    ]
    reverted = next(item for item in receipts if item["execution_status"] == "REVERTED")
    assert await client.result("getTransactionStatus", [reverted["transaction_hash"]]) == {
        "finality_status": "ACCEPTED_ON_L2",
        "execution_status": "REVERTED",
        "failure_reason": reverted["revert_reason"],
    }
    status = await client.result("getTransactionStatus", [receipts[0]["transaction_hash"]])
    assert status["execution_status"] == "SUCCEEDED"
    assert "failure_reason" not in status


@pytest.mark.parametrize(("chunk_size", "scan_limit"), [(1024, None), (100, 50), (37, 3)])
async def test_event_pages_are_the_whole(
    stage: Stage, chunk_size: int, scan_limit: int | None
) -> None:
    client = await stage(scan_limit=scan_limit)
    filter_ = {"from_block": number(0), "to_block": number(125), "chunk_size": chunk_size}
    found = []
    while True:
        page = await client.result("getEvents", {"filter": filter_})
        found += page["events"]
        if "continuation_token" not in page:
            break
        filter_["continuation_token"] = page["continuation_token"]
    places = [(e["block_number"], e["transaction_index"], e["event_index"]) for e in found]
    assert len(places) == 1955
    assert places == sorted(set(places))
    from_receipts = [
        event
        for block in MAIN.values()
        for item in recorded(block)["transactions"]
        for event in item["receipt"]["events"]
    ]
    assert [(e["from_address"], e["keys"], e["data"]) for e in found] == [
        (e["from_address"], e["keys"], e["data"]) for e in from_receipts
    ]


async def test_every_recorded_call_of_a_block_is_answered(stage: Stage) -> None:
    client = await stage()
    rows = [row for row in RECORDING.main.calls.values() if row.block_number == 100]
    batch = [
        {
            "jsonrpc": "2.0",
            "id": index,
            "method": "starknet_call",
            "params": {
                "request": {
                    "contract_address": row.contract,
                    "entry_point_selector": row.selector,
                    "calldata": row.calldata,
                },
                "block_id": {"block_hash": row.block_hash},
            },
        }
        for index, row in enumerate(rows)
    ]
    answers = await client.post(batch)
    assert len(answers) == len(rows) > 300
    for row, answer in zip(rows, answers, strict=True):
        kind = "error" if row.error else "result"
        assert answer[kind] == json.loads(bytes(row.error or row.result))


async def test_constants_are_answered_at_any_block_and_nothing_else_is(stage: Stage) -> None:
    client = await stage()
    rows = RECORDING.main.calls.values()
    asked_at = {}
    for wanted in ("decimals", "is_paused"):
        row = next(row for row in rows if row.name == wanted and row.block_number <= 10)
        request = {
            "contract_address": row.contract,
            "entry_point_selector": row.selector,
            "calldata": [],
        }
        asked_at[wanted] = request
    for height in (2, 11, 124):
        result = await client.result("call", [asked_at["decimals"], number(height)])
        assert len(result) == 1
    answer = await client.ask("call", [asked_at["is_paused"], number(2)])
    assert answer["error"]["code"] == -32099
    assert answer["error"]["message"].startswith("Not in the recording: the answer of contract")
    assert "at block 2" in answer["error"]["message"]


async def test_class_hash_follows_the_upgrade(stage: Stage) -> None:
    client = await stage()
    deployed = RECORDING.manifest["contracts"]["pool:prime"]
    old, new = deployed["class_hash"], RECORDING.manifest["classes"]["Pool"]
    assert await client.code("getClassHashAt", [number(6), PRIME_POOL]) == 20
    assert await client.result("getClassHashAt", [number(7), PRIME_POOL]) == old
    assert await client.result("getClassHashAt", [number(45), PRIME_POOL]) == old
    assert await client.result("getClassHashAt", [number(46), PRIME_POOL]) == new
    token = RECORDING.manifest["tokens"]["ETH"]
    at_start = await client.result("getClassHashAt", [number(0), token["address"]])
    assert at_start == token["class_hash"]


async def test_classes_nonces_and_state_updates(stage: Stage) -> None:
    client = await stage()
    at = await client.result("getClassAt", [LATEST, PRIME_POOL])
    class_hash = await client.result("getClassHashAt", [LATEST, PRIME_POOL])
    assert at == await client.result("getClass", [LATEST, class_hash])
    assert "modify_position" in at["abi"]
    assert at["abi"] == (RECORDING.folder / "classes" / f"{class_hash}.abi.json").read_text()
    assert await client.code("getClass", [LATEST, "0x1"]) == -32099
    update = await client.result("getStateUpdate", [number(46)])
    assert update["block_hash"] == MAIN[46].hash
    change = update["state_diff"]["nonces"][0]
    asked = {"block_id": number(46), "contract_address": change["contract_address"]}
    assert await client.result("getNonce", asked) == change["nonce"]
    assert await client.result("getNonce", [LATEST, PRIME_POOL]) == "0x0"
    assert await client.code("getNonce", [LATEST, "0x1234"]) == 20


async def test_old_profiles_tell_less(stage: Stage) -> None:
    client = await stage()
    assert await client.result("specVersion", path="/rpc/v0_8") == "0.8.1"
    assert await client.result("specVersion", path="/rpc/v0_9") == "0.9.0"
    assert await client.result("specVersion", path="/rpc/v0_10") == "0.10.2"
    filter_ = {"address": PRIME_POOL, "chunk_size": 3}
    for path in ("/rpc/v0_8", "/rpc/v0_9"):
        page = await client.result("getEvents", [filter_], path)
        assert len(page["events"]) == 3
        assert not {"transaction_index", "event_index"} & page["events"][0].keys()
        header = await client.result("getBlockWithTxHashes", [LATEST], path)
        assert not {"event_count", "event_commitment", "transaction_count"} & header.keys()
        assert header["block_hash"] == MAIN[125].hash
        listed = [{**filter_, "address": [PRIME_POOL]}]
        assert await client.code("getEvents", listed, path) == -32602
    newest = await client.result("getEvents", [{**filter_, "address": [PRIME_POOL]}], "/rpc/v0_10")
    assert {"transaction_index", "event_index"} <= newest["events"][0].keys()


async def test_tags_by_profile(stage: Stage) -> None:
    client = await stage(playhead.Playhead.everything(RECORDING, finality_lag=20))
    pending = await client.result("getBlockWithTxHashes", ["pending"], "/rpc/v0_8")
    assert pending["block_number"] == 125
    assert await client.code("getBlockWithTxHashes", ["pending"], "/rpc/v0_9") == -32602
    assert await client.code("getBlockWithTxHashes", ["pending"]) == -32602
    for tag, height, status in (
        ("latest", 125, "ACCEPTED_ON_L2"),
        ("l1_accepted", 105, "ACCEPTED_ON_L1"),
    ):
        block = await client.result("getBlockWithReceipts", [tag])
        assert (block["block_number"], block["status"]) == (height, status)
        statuses = {item["receipt"]["finality_status"] for item in block["transactions"]}
        assert statuses <= {status}


async def test_l1_accepted_is_unknown_without_finality(stage: Stage) -> None:
    client = await stage()
    assert await client.code("getBlockWithTxHashes", ["l1_accepted"]) == 24


async def test_refusals(stage: Stage) -> None:
    client = await stage(playhead.Playhead.at_block(RECORDING, 50))
    assert await client.code("getBlockWithTxs", [number(51)]) == 24
    assert await client.code("getBlockWithTxs", [{"block_hash": MAIN[51].hash}]) == 24
    assert await client.code("getBlockWithTxs", [{"block_hash": "0xzz"}]) == -32602
    assert await client.code("getBlockWithTxs", []) == -32602
    assert await client.code("getBlockWithTxs", {"block": LATEST}) == -32602
    assert await client.code("getBlockWithTxs", [{"block_number": "0x5"}]) == -32602
    assert await client.code("getEvents", [{"chunk_size": 1025}]) == 31
    assert await client.code("traceTransaction", ["0x1"]) == -32601
    assert (await client.post([]))["error"]["code"] == -32600
    assert (await client.post({"id": 1}))["error"]["code"] == -32600
    for garbage in (b"{oops", b'{"method":"\xff"}', b""):
        async with client.session.post(client.url, data=garbage) as response:
            assert (await response.json())["error"]["code"] == -32700
    async with client.session.post(client.url + "/rpc/v0_5", json={}) as response:
        assert response.status == 404


async def test_an_empty_node_has_no_blocks(stage: Stage) -> None:
    client = await stage(playhead.Playhead.at_block(RECORDING, -1))
    assert await client.code("blockNumber") == 32
    assert await client.code("blockHashAndNumber") == 32
    assert await client.code("getBlockWithTxHashes", [LATEST]) == 24
    assert await client.result("getEvents", [{"chunk_size": 5}]) == {"events": []}


async def test_batches_answer_each_request(stage: Stage) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": "a", "method": "starknet_blockNumber"},
        {"jsonrpc": "2.0", "id": 2, "method": "starknet_nonsense"},
        {"jsonrpc": "2.0", "id": 3, "method": "starknet_chainId", "params": []},
    ]
    answers = await (await stage()).post(batch)
    assert [answer["id"] for answer in answers] == ["a", 2, 3]
    assert answers[0]["result"] == 125
    assert answers[1]["error"]["code"] == -32601
    backwards = await (await stage(reverse_batches=True)).post(batch)
    assert backwards == answers[::-1]


async def test_reorg_story(stage: Stage) -> None:
    head = playhead.Playhead.at_block(RECORDING, 84, story=True)
    client = await stage(head)
    fork = RECORDING.forks[0].blocks
    head.release(7)
    assert await client.result("blockNumber") == 91
    assert await client.result("getBlockWithReceipts", [number(91)]) == recorded(fork[91])
    events = (await client.result("getEvents", [{"from_block": number(80), "chunk_size": 1000}]))[
        "events"
    ]
    assert {e["block_hash"] for e in events if e["block_number"] > 84} <= {
        block.hash for block in fork.values()
    }
    row = next(row for row in RECORDING.forks[0].calls.values() if row.block_number == 88)
    asked = {
        "contract_address": row.contract,
        "entry_point_selector": row.selector,
        "calldata": row.calldata,
    }
    at_fork = [asked, {"block_hash": fork[88].hash}]
    assert await client.result("call", at_fork) == json.loads(bytes(row.result))
    lost = recorded(fork[86])["transactions"][0]["receipt"]["transaction_hash"]
    assert (await client.result("getTransactionReceipt", [lost]))["block_hash"] == fork[86].hash

    head.release()
    assert await client.result("blockNumber") == 84
    assert await client.code("getBlockWithTxs", [number(85)]) == 24
    head.release()
    assert (await client.result("getBlockWithTxHashes", [LATEST]))["block_hash"] == MAIN[85].hash
    assert await client.code("getBlockWithTxs", [{"block_hash": fork[88].hash}]) == 24
    assert await client.code("call", at_fork) == 24
    assert await client.code("getTransactionReceipt", [lost]) == 29


async def test_abandoned_blocks_can_be_kept_by_hash(stage: Stage) -> None:
    head = playhead.Playhead.at_block(RECORDING, 84)
    client = await stage(head, keep_abandoned=True)
    fork = RECORDING.forks[0].blocks
    unseen = {"block_hash": fork[88].hash}
    assert await client.code("getBlockWithTxs", [unseen]) == 24
    head.go_to(88, branch=1)
    head.go_to(90)
    assert await client.result("getBlockWithReceipts", [unseen]) == recorded(fork[88])
    update = await client.result("getStateUpdate", [unseen])
    assert update["block_hash"] == fork[88].hash
    assert await client.result("getClassHashAt", [unseen, PRIME_POOL])


async def test_the_pace_moves_the_head_over_http(stage: Stage) -> None:
    head = playhead.Playhead.paced(RECORDING, held_back=25, blocks_per_second=50)
    client = await stage(head)
    assert await client.result("blockNumber") <= 105
    deadline = time.monotonic() + 5
    while await client.result("blockNumber") < 125:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert head.steps_left == 0


async def test_latency_is_kept(stage: Stage) -> None:
    client = await stage(latency=0.15)
    started = time.monotonic()
    await client.result("blockNumber")
    assert time.monotonic() - started >= 0.15


@pytest.mark.parametrize("wanted", [True, False])
async def test_gzip_only_for_those_who_ask(stage: Stage, wanted: bool) -> None:
    client = await stage()
    request = {"id": 1, "method": "starknet_getBlockWithReceipts", "params": [number(29)]}
    accepted = {"Accept-Encoding": "gzip" if wanted else "identity"}
    async with client.session.post(client.url, json=request, headers=accepted) as response:
        assert (response.headers.get("Content-Encoding") == "gzip") is wanted
        assert (await response.json())["result"] == recorded(MAIN[29])
