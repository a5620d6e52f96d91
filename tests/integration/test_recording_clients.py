"""starknet-py, a client that we did not write, reads the recorded chain."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from starknet_py.net import client_errors, full_node_client
from starknet_py.net.client_models import Call

from tests.integration import recording_stage
from tests.integration.recording_stage import (
    MAIN,
    PRIME_POOL,
    RECORDING,
    Stage,
)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with recording_stage.opened() as made:
        yield made


async def test_a_client_that_we_did_not_write_reads_blocks(stage: Stage) -> None:
    client = full_node_client.FullNodeClient((await stage()).url)
    block = await client.get_block(block_number=29)
    assert block.block_hash == int(MAIN[29].hash, 16)
    with_receipts = await client.get_block_with_receipts(block_hash=MAIN[29].hash)
    assert len(with_receipts.transactions) == len(block.transactions) == 2
    hashes = await client.get_block_with_tx_hashes(block_number="latest")
    assert hashes.block_number == await client.get_block_number() == 125
    assert await client.get_chain_id() == RECORDING.chain_id
    assert await client.spec_version() == "0.10.2"
    update = await client.get_state_update(block_number=46)
    assert len(update.state_diff.replaced_classes) == 3
    receipt = await client.get_transaction_receipt(block.transactions[0].hash)
    assert receipt.block_number == 29
    assert await client.get_transaction(block.transactions[0].hash) == block.transactions[0]
    status = await client.get_transaction_status(block.transactions[0].hash)
    assert status.finality_status.value == "ACCEPTED_ON_L2"


async def test_a_client_that_we_did_not_write_follows_tokens(stage: Stage) -> None:
    client = full_node_client.FullNodeClient((await stage(scan_limit=30)).url)
    found = await client.get_events(
        address=PRIME_POOL,
        from_block_number=0,
        to_block_number=125,
        chunk_size=50,
        follow_continuation_token=True,
    )
    pool = int(PRIME_POOL, 16)
    expected = [e for b in MAIN.values() for e in b.events if int(e.from_address, 16) == pool]
    assert found.continuation_token is None
    assert [(e.block_number, e.transaction_index, e.event_index) for e in found.events] == [
        (e.block_number, e.transaction_index, e.event_index) for e in expected
    ]
    assert len(expected) == 194


async def test_a_client_that_we_did_not_write_asks_contracts(stage: Stage) -> None:
    client = full_node_client.FullNodeClient((await stage()).url)
    row = next(row for row in RECORDING.main.calls.values() if row.name == "asset_config")
    call = Call(int(row.contract, 16), int(row.selector, 16), [int(x, 16) for x in row.calldata])
    answer = await client.call_contract(call, block_hash=row.block_hash)
    assert answer == [int(felt, 16) for felt in json.loads(bytes(row.result))]
    class_hash = await client.get_class_hash_at(PRIME_POOL, block_number=125)
    assert hex(class_hash) == RECORDING.manifest["classes"]["Pool"]
    found = await client.get_class_at(PRIME_POOL, block_number=125)
    assert found.parsed_abi
    assert await client.get_contract_nonce(PRIME_POOL, block_number=125) == 0
    unknown = Call(int(row.contract, 16), 1, [])
    with pytest.raises(client_errors.ClientError, match="Not in the recording"):
        await client.call_contract(unknown, block_number=100)
