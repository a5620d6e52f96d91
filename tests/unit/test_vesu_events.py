"""Typed events against the ABIs' own text: names, order and types of fields."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from indexer.vesu import events
from indexer.vesu.v2 import events as events_v2

ABIS = pathlib.Path(__file__).parents[2] / "indexer" / "vesu" / "abis"
V2 = ("pool_factory_v2", "pool_v2", "oracle_v2", "vtoken_v2")
SHOWN = {
    "core::felt252": "Felt",
    "core::starknet::contract_address::ContractAddress": "Felt",
    "core::starknet::class_hash::ClassHash": "Felt",
    "core::bool": "bool",
    "core::byte_array::ByteArray": "str",
    "alexandria_math::i257::i257": "int",
}


def entries(abi_name: str) -> dict[str, dict[str, Any]]:
    abi = json.loads((ABIS / f"{abi_name}.json").read_text())
    return {entry["name"]: entry for entry in abi if entry["type"] in ("event", "struct")}


def expected_type(name: str) -> str:
    if name.startswith("core::integer::") or name.endswith("::AggregationMode"):
        return "int"
    return SHOWN.get(name) or name.rsplit("::", 1)[1]


def typed(name: str) -> type[events.Struct]:
    found: type[events.Struct] = getattr(events_v2, name, None) or getattr(events, name)
    return found


def assert_same_fields(type_: type[events.Struct], entry: dict[str, Any]) -> None:
    members = {member["name"]: expected_type(member["type"]) for member in entry["members"]}
    annotations = (
        type_.__annotations__[field].removeprefix("events.") for field in type_.__struct_fields__
    )
    fields = dict(zip(type_.__struct_encode_fields__, annotations, strict=True))
    assert list(fields.items()) == list(members.items()), type_.__name__


@pytest.mark.parametrize("abi_name", V2)
def test_every_event_has_the_fields_of_its_abi(abi_name: str) -> None:
    structs = [e for e in entries(abi_name).values() if e.get("kind") == "struct"]
    assert structs
    for entry in structs:
        assert_same_fields(typed(entry["name"].rsplit("::", 1)[1]), entry)


@pytest.mark.parametrize(
    ("abi_name", "struct"),
    [
        ("pool_v2", "AssetConfig"),
        ("pool_v2", "AssetPrice"),
        ("pool_v2", "InterestRateConfig"),
        ("pool_v2", "PairConfig"),
        ("oracle_v2", "OracleConfig"),
    ],
)
def test_every_inner_struct_has_the_fields_of_its_abi(abi_name: str, struct: str) -> None:
    [entry] = [
        entry
        for name, entry in entries(abi_name).items()
        if entry["type"] == "struct" and name.rsplit("::", 1)[1] == struct
    ]
    assert_same_fields(typed(struct), entry)
