"""Decoders against everything recorded: the same answer as starknet-py."""

from __future__ import annotations

import collections
import json
import pathlib
import types
from typing import NamedTuple

import msgspec
import pytest

from indexer import errors
from indexer.cairo import felt252, selector
from indexer.vesu import decoders, events, kinds, maths
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v2 import events as events_v2
from tests.unit import arguments, foreign, recorded

V2_ABIS = {
    kinds.Kind.POOL_V2: "pool_v2",
    kinds.Kind.POOL_FACTORY_V2: "pool_factory_v2",
    kinds.Kind.ORACLE_V2: "oracle_v2",
    kinds.Kind.VTOKEN_V2: "vtoken_v2",
}
V1_ABIS = {
    kinds.Kind.SINGLETON_V1_0: ("singleton_v1", "singleton_v1_audited"),
    kinds.Kind.EXTENSION_V1_0_GENESIS: ("extension_v0_genesis",),
    kinds.Kind.EXTENSION_V1_0: ("extension_po_v1", "extension_cl_v1", "extension_ek_v1"),
    kinds.Kind.VTOKEN_V1_0: ("vtoken_v1",),
    kinds.Kind.SINGLETON_V1_1: ("singleton_v1_1a", "singleton_v1_1b"),
    kinds.Kind.EXTENSION_V1_1: (
        "extension_po_v1_1a",
        "extension_po_v1_1a_with_utils_events",
        "extension_po_v1_1b",
    ),
    kinds.Kind.VTOKEN_V1_1: ("vtoken_v1_1",),
}
MAINNET = recorded.DATA / "mainnet-3573626"


def by_starknet_py(names: tuple[str, ...], event: recorded.Event) -> dict | None:
    """The arguments by the layout that has as many felts as the event."""
    for layout in foreign.find(names, event.keys):
        after = len(layout.path)
        return layout.decode(event.keys[after:], event.data)
    return None


def test_every_recorded_v2_event_has_one_meaning() -> None:
    compared: collections.Counter[str] = collections.Counter()
    for event in recorded.events(recorded.DEVNET_A):
        name = V2_ABIS[event.kind]
        decoded = decoders.decode(event.kind, event.keys, event.data)
        assert decoded is not None, f"unknown selector in {event}"
        shown = arguments.of(decoded.layout, event.keys, event.data)
        assert shown == by_starknet_py((name,), event)
        assert type(decoded.event).__name__ == decoded.name
        compared[decoded.name] += 1
    print(f"{compared.total()} events of V2, {len(compared)} names: {dict(compared)}")
    assert compared.total() >= 700
    assert len(compared) >= 30


@pytest.mark.parametrize("folder", recorded.V1_RECORDINGS, ids=lambda folder: folder.name)
def test_every_recorded_v1_event_has_one_meaning(folder: pathlib.Path) -> None:
    compared: collections.Counter[tuple[str, str]] = collections.Counter()
    unknown: collections.Counter[tuple[str, int]] = collections.Counter()
    for event in recorded.events(folder):
        compiled = decoders.decode(event.kind, event.keys, event.data)
        if compiled is None:
            unknown[event.kind.value, event.keys[0]] += 1
            continue
        shown = arguments.of(compiled.layout, event.keys, event.data)
        assert shown == by_starknet_py(V1_ABIS[event.kind], event)
        compared[event.kind.value, compiled.name] += 1
    print(f"{folder.name}: {compared.total()} events of V1; unknown selectors: {dict(unknown)}")
    assert compared.total() >= 350
    assert not unknown


@pytest.mark.parametrize(
    ("name", "is_nested"), [("devnet-v11", True), ("devnet-v10-migration", False)]
)
def test_a_migration_tells_with_one_selector_what_a_creation_tells_with_two(
    name: str, is_nested: bool
) -> None:
    nested = set()
    for event in recorded.events(recorded.DATA / name):
        if event.kind is kinds.Kind.EXTENSION_V1_1:
            decoded = decoders.decode(event.kind, event.keys, event.data)
            assert decoded is not None
            if decoded.name in ("CreateVToken", "SetInterestRateConfig"):
                nested.add(event.keys[0] != selector.of(decoded.name))
    assert nested == {is_nested}


@pytest.mark.parametrize(
    "folder", [recorded.DEVNET_A, *recorded.V1_RECORDINGS], ids=lambda folder: folder.name
)
def test_manifests_name_the_kind_of_every_vesu_contract(folder: pathlib.Path) -> None:
    contracts = recorded.manifest(folder)["contracts"]
    strangers = {
        name
        for name, contract in contracts.items()
        if recorded.kind_of(name, contract["generation"]) is None
    }
    assert all(name.startswith("mock_") or name == "migration_extension" for name in strangers)
    assert len(contracts) - len(strangers) >= 9


# --- the real block ------------------------------------------------------------------------


class Shown(NamedTuple):
    name: str
    args: dict


def _mainnet() -> tuple[list[Shown], dict]:
    answer = json.loads((MAINNET / "getEvents_vesu_v11_3573626.json").read_text())
    decoded = []
    for raw in answer["events"]:
        event = decoders.decode(kinds.Kind.SINGLETON_V1_1, *recorded.felts(raw))
        assert event is not None
        args = arguments.of(event.layout, *recorded.felts(raw))
        decoded.append(Shown(event.name, args))
    return decoded, json.loads((MAINNET / "expected.json").read_text())


def _args(decoded: list[Shown], name: str) -> dict:
    (event,) = [event for event in decoded if event.name == name]
    return event.args


def test_the_real_block_decodes_to_what_is_expected() -> None:
    decoded, expected = _mainnet()
    assert [event.name for event in decoded] == expected["event_order"]
    for name, key in (
        ("ModifyPosition", "modify_position"),
        ("TransferPosition", "transfer_position"),
    ):
        args = _args(decoded, name)
        assert {field: args[field] for field in expected[key]} == expected[key]
    context, wanted = _args(decoded, "UpdateContext"), expected["update_context"]
    for side in ("collateral_asset_config", "debt_asset_config"):
        config = {
            name: int(value) if name in ("is_legacy", "last_updated") else value
            for name, value in context[side].items()
        }
        assert config == wanted[side]
    for side in ("collateral", "debt"):
        price = context[f"{side}_asset_price"]
        assert price["value"] == wanted[f"{side}_price"]
        assert price["is_valid"] == bool(wanted[f"{side}_price_valid"])
    moved = _args(decoded, "ModifyPosition")
    for field in ("pool_id", "user", "collateral_asset", "debt_asset"):
        assert int(moved[field], 16) == int(expected[field], 16)
    assert int(_args(decoded, "TransferPosition")["to_user"], 16) == int(expected["extension"], 16)


def test_the_real_receipt_follows_the_formulas() -> None:
    """What the user repaid is the debt rounded up, what moved on is the collateral down."""
    decoded, expected = _mainnet()
    context = _args(decoded, "UpdateContext")
    debt = {name: int(value) for name, value in context["debt_asset_config"].items()}
    held = {name: int(value) for name, value in context["collateral_asset_config"].items()}
    before = {name: int(value) for name, value in expected["position_before"].items()}

    def owed(*, up: bool) -> int:
        accumulator = debt["last_rate_accumulator"]
        return maths.calculate_debt(before["nominal_debt"], accumulator, debt["scale"], up=up)

    assert owed(up=True) == 5_004_670_261 == -int(_args(decoded, "ModifyPosition")["debt_delta"])
    assert owed(up=False) == owed(up=True) - 1
    total_debt = maths.calculate_debt(
        held["total_nominal_debt"], held["last_rate_accumulator"], held["scale"], up=False
    )
    worth = maths.calculate_collateral(
        before["collateral_shares"], held["reserve"], total_debt, held["total_collateral_shares"]
    )
    transfer = _args(decoded, "TransferPosition")
    assert worth == 5_736_502_730_130_753_815 == -int(transfer["collateral_delta"])
    after = int(expected["extension_position_after"]["collateral_shares"])
    gained = after - int(expected["extension_position_before"]["collateral_shares"])
    assert gained == -int(transfer["collateral_shares_delta"])


def test_the_real_block_mints_vtokens_for_the_moved_shares() -> None:
    block = json.loads((MAINNET / "block_3573626_with_receipts.json").read_text())
    expected = json.loads((MAINNET / "expected.json").read_text())
    raw_events = [
        event
        for transaction in block.get("result", block)["transactions"]
        for event in transaction["receipt"]["events"]
        if int(event["from_address"], 16) == int(expected["vtoken_eth_genesis"], 16)
    ]
    minted = [
        arguments.of(decoded.layout, *recorded.felts(raw))
        for raw in raw_events
        if (decoded := decoders.decode(kinds.Kind.VTOKEN_V1_1, *recorded.felts(raw)))
    ]
    assert [int(mint["value"]) for mint in minted] == [
        int(expected["token_flow"]["vETH_minted_to_user"])
    ]
    assert int(minted[0]["from"], 16) == 0


# --- kinds and classes ---------------------------------------------------------------------


def test_every_kind_has_a_decoder() -> None:
    for kind in set(kinds.Kind) - set(kinds.POOLS.values()):
        assert decoders.table(kind)


@pytest.mark.parametrize("module", [events, events_v1, events_v2], ids=lambda one: one.__name__)
def test_every_event_class_stands_in_a_packaged_abi(module: types.ModuleType) -> None:
    """A class that no ABI's event or struct has would never be made: a shape out of thin air."""
    declared = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, events.Struct)
    } - {events.Struct}
    assert declared
    assert declared - made_by_the_abis() == set()


def made_by_the_abis() -> set[type]:
    """The classes of every event, and of the structs inside them, made from felts of 0."""
    made: set[type] = set()
    for kind in kinds.Kind:
        for layouts in decoders.table(kind).values():
            for layout in layouts.values():
                keys = [0] * (9 if layout.key_felts is None else layout.key_felts)
                event = layout.decode(keys, [0] * (layout.data_felts or 0)).event
                made.add(type(event))
                if event is not None:
                    made |= {type(value) for value in msgspec.structs.astuple(event)}
    return made


# --- what does not fit ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds.Kind)
def test_strange_selectors_are_nobodys(kind: kinds.Kind) -> None:
    assert decoders.decode(kind, [], []) is None
    assert decoders.decode(kind, [1], [2]) is None
    assert decoders.decode(kind, [1, selector.of("Transfer")], []) is None


def test_a_component_without_a_known_inner_event_is_nobodys() -> None:
    prefix = selector.of("InterestRateModelEvents")
    for kind in (kinds.Kind.POOL_V2, kinds.Kind.EXTENSION_V1_0, kinds.Kind.EXTENSION_V1_1):
        assert decoders.decode(kind, [prefix], []) is None
        assert decoders.decode(kind, [prefix, 1], []) is None


@pytest.mark.parametrize("felt", [foreign.PRIME, 2**256 - 1])
@pytest.mark.parametrize("kind", [kinds.Kind.VTOKEN_V2, kinds.Kind.VTOKEN_V1_0])
def test_felts_that_are_none_do_not_decode(kind: kinds.Kind, felt: int) -> None:
    keys = [selector.of("Transfer"), 1, 2]
    with pytest.raises(errors.UndecodableEventError, match=f"Transfer of {kind.value}: a felt"):
        decoders.decode(kind, keys, [0, felt])


def test_the_error_says_what_was_expected() -> None:
    keys = [selector.of("AccrueFees"), 1]
    with pytest.raises(
        errors.UndecodableEventError,
        match="AccrueFees of singleton_v1_0: expected 3 key and 2 data felts or 4 key and 4 data "
        "felts, found 1 and 1",
    ):
        decoders.decode(kinds.Kind.SINGLETON_V1_0, keys, [1])


def test_accrue_fees_has_two_layouts_that_their_lengths_tell_apart() -> None:
    accrue = selector.of("AccrueFees")
    deployed = decoders.decode(kinds.Kind.SINGLETON_V1_0, [accrue, 1, 2, 3], [4, 0])
    keys, data = [accrue, 1, 2, 3, 4], [5, 0, 6, 1]
    audited = decoders.decode(kinds.Kind.SINGLETON_V1_0, keys, data)
    assert deployed is not None
    assert deployed.event == events_v1.AccrueFees(pool_id=1, asset=2, recipient=3, fee_shares=4)
    assert audited is not None
    assert (audited.name, audited.event) == ("AccrueFees", None)
    assert arguments.of(audited.layout, keys, data) == {
        "pool_id": felt252.padded(1),
        "collateral_asset": felt252.padded(2),
        "debt_asset": felt252.padded(3),
        "recipient": felt252.padded(4),
        "collateral_asset_fee_shares": "5",
        "debt_asset_fee_shares": str(6 + (1 << 128)),
    }


# --- shown arguments -----------------------------------------------------------------------


def shown(kind: kinds.Kind, keys: list[int], data: list[int]) -> dict:
    decoded = decoders.decode(kind, keys, data)
    assert decoded is not None
    return arguments.of(decoded.layout, keys, data)


def test_arguments_show_felts_as_hex_numbers_as_decimals_and_bools_as_bools() -> None:
    keys = [selector.of("Transfer"), 1, 2]
    assert shown(kinds.Kind.VTOKEN_V2, keys, [10**30, 0]) == {
        "from": "0x" + "1".zfill(64),
        "to": "0x" + "2".zfill(64),
        "value": "1" + "0" * 30,
    }
    keys = [selector.of("ModifyDelegation"), 1, 2]
    assert shown(kinds.Kind.POOL_V2, keys, [1])["delegation"] is True


def test_names_padded_with_zeros_stay_in_the_keys_and_leave_the_arguments() -> None:
    """PostgreSQL's jsonb holds no NUL; anyone may have the factory emit such a name."""
    keys = [selector.of("CreateVToken"), 1, 2, 3]
    padded = [0, int.from_bytes(b"\0\0vETH"), 6]
    keys += padded + padded
    created = decoders.decode(kinds.Kind.POOL_FACTORY_V2, keys, [])
    assert created is not None
    assert isinstance(created.event, events_v2.CreateVToken)
    assert created.event.v_token_symbol == "\0\0vETH"
    args = arguments.of(created.layout, keys, [])
    assert args["v_token_symbol"] == "\ufffd\ufffdvETH"
    assert b"\\u0000" not in msgspec.json.encode(args)
