"""The address book against the published addresses."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable
from typing import Any

import pytest
from starknet_py.cairo import felt

from indexer.vesu import deployments, kinds

DATA = pathlib.Path(__file__).parents[1] / "data"
PUBLISHED: dict[str, Any] = json.loads((DATA / "addresses.json").read_text())


def addresses(contracts: Iterable[deployments.Contract]) -> dict[int, tuple[kinds.Kind, int]]:
    return {contract.address: (contract.kind, contract.from_block) for contract in contracts}


@pytest.mark.parametrize(
    ("published", "kind", "from_block"),
    [
        ("singleton_v1_0", kinds.Kind.SINGLETON_V1_0, 654_244),
        ("extension_v1_0_v0_genesis", kinds.Kind.EXTENSION_V1_0_GENESIS, 654_244),
        ("extension_v1_0_po", kinds.Kind.EXTENSION_V1_0, 654_244),
        ("extension_v1_0_cl", kinds.Kind.EXTENSION_V1_0, 654_244),
        ("singleton_v1_1", kinds.Kind.SINGLETON_V1_1, 1_439_949),
        ("extension_v1_1", kinds.Kind.EXTENSION_V1_1, 1_439_949),
        ("pool_factory_v2", kinds.Kind.POOL_FACTORY_V2, 2_000_000),
        ("oracle_v2", kinds.Kind.ORACLE_V2, 2_000_000),
    ],
)
def test_mainnet_contract(published: str, kind: kinds.Kind, from_block: int) -> None:
    entry = PUBLISHED["contracts"][published]
    assert addresses(deployments.mainnet())[int(entry["address"], 16)] == (kind, from_block)
    for name in ("first_block", "first_block_floor"):
        assert entry.get(name, from_block) == from_block


def test_mainnet_holds_nothing_else() -> None:
    assert len(deployments.mainnet()) == len(addresses(deployments.mainnet())) == 8


def test_sepolia() -> None:
    published = PUBLISHED["sepolia"]
    first = published["v1_0"]["first_block"]
    kind = kinds.Kind
    assert addresses(deployments.sepolia()) == {
        int(published["v1_0"]["singleton"], 16): (kind.SINGLETON_V1_0, first),
        int(published["v1_1"]["singleton"], 16): (kind.SINGLETON_V1_1, first),
        int(published["v1_1"]["extension"], 16): (kind.EXTENSION_V1_1, first),
    }


def test_chain_ids_are_the_names_in_ascii() -> None:
    assert (
        felt.encode_shortstring("SN_MAIN")
        == deployments.SN_MAIN
        == int.from_bytes(b"SN_MAIN", "big")
    )
    assert felt.encode_shortstring("SN_SEPOLIA") == deployments.SN_SEPOLIA


def test_the_mainnet_block_speaks_of_the_same_contracts() -> None:
    block = json.loads((DATA / "mainnet-3573626" / "expected.json").read_text())
    known = addresses(deployments.mainnet())
    assert known[int(block["singleton"], 16)][0] is kinds.Kind.SINGLETON_V1_1
    assert known[int(block["extension"], 16)][0] is kinds.Kind.EXTENSION_V1_1
    assert all(entry[1] <= block["block_number"] for entry in known.values())
