"""Typed events against the ABIs' own text: names, order, and how each field is shown."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import msgspec
import pytest

from indexer.cairo import felt252
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


def test_arguments_are_padded_hex_decimal_text_bools_and_nested_objects() -> None:
    price = events.AssetPrice(value=2**200, is_valid=False)
    config = events_v2.AssetConfig(1, 2, 3, 4, 5, 6, True, 7, 8, 9, 10, 11)
    args = events.to_args(events_v2.UpdateContext(0xA, 0xB, config, config, price, price))
    assert args["collateral_asset"] == "0x" + "a".zfill(64)
    assert args["debt_asset_config"]["is_legacy"] is True
    assert args["debt_asset_config"]["fee_shares"] == "11"
    assert args["debt_asset_price"] == {"value": str(2**200), "is_valid": False}


def test_negative_deltas_keep_their_sign() -> None:
    args = events.to_args(events_v2.ModifyPosition(1, 2, 3, -(2**255), 0, -1, 5))
    assert args["collateral_delta"] == str(-(2**255))
    assert args["debt_delta"] == "-1"


def test_a_transfer_says_from_and_to() -> None:
    args = events.to_args(events.Transfer(sender=1, recipient=2, value=3))
    assert args == {"from": felt252.padded(1), "to": felt252.padded(2), "value": "3"}


def test_a_name_with_nul_can_be_stored_as_jsonb() -> None:
    # PostgreSQL refuses \u0000; anyone may have the factory emit such a name.
    args = events.to_args(events_v2.CreateVToken(1, 2, 3, "sUSN\0\0", "\0"))
    assert args["v_token_name"] == "sUSN\ufffd\ufffd"
    assert b"\\u0000" not in msgspec.json.encode(args)


def test_events_of_abis_are_passed_through() -> None:
    event = events.AbiEvent("SetPoolOwner", {"owner": "0x1"})
    assert (events.name_of(event), events.to_args(event)) == ("SetPoolOwner", {"owner": "0x1"})
    assert events.name_of(events_v2.SetOracle(1)) == "SetOracle"
