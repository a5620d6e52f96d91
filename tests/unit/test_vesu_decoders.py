"""Decoders against everything recorded: by hand, by ABI, and by starknet-py, one answer."""

from __future__ import annotations

import collections
import json
import pathlib

import msgspec
import pytest
from starknet_py.hash.selector import get_selector_from_name

from indexer import errors
from indexer.cairo import abi, felt252
from indexer.vesu import decoders, events, kinds, maths, packaged, selectors
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v2 import events as events_v2
from tests.unit import foreign, recorded

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


def ints(hexes: list[str]) -> list[int]:
    return [int(felt, 16) for felt in hexes]


def by_starknet_py(names: tuple[str, ...], event: recorded.Event) -> dict | None:
    """The arguments by the layout that has as many felts as the event."""
    for layout in foreign.find(names, event.keys):
        after = len(layout.path)
        return layout.decode(ints(event.keys[after:]), ints(event.data))
    return None


def by_abi(name: str, event: recorded.Event) -> events.AbiEvent:
    found = abi.find(packaged.load(name), event.keys)
    assert found is not None
    after, layouts = found
    return abi.decode(layouts, ints(event.keys[after:]), ints(event.data))


def test_every_recorded_v2_event_has_one_meaning() -> None:
    compared: collections.Counter[str] = collections.Counter()
    for event in recorded.events(recorded.DEVNET_A):
        name = V2_ABIS[event.kind]
        by_hand = decoders.decode(event.kind, event.keys, event.data)
        assert by_hand is not None, f"unknown selector in {event}"
        compiled = by_abi(name, event)
        assert events.to_args(by_hand) == compiled.args == by_starknet_py((name,), event)
        assert events.name_of(by_hand) == compiled.name
        compared[compiled.name] += 1
    print(f"{compared.total()} events of V2, {len(compared)} names: {dict(compared)}")
    assert compared.total() >= 700
    assert len(compared) >= 30


@pytest.mark.parametrize("folder", recorded.V1_RECORDINGS, ids=lambda folder: folder.name)
def test_every_recorded_v1_event_has_one_meaning(folder: pathlib.Path) -> None:
    compared: collections.Counter[tuple[str, str]] = collections.Counter()
    unknown: collections.Counter[tuple[str, str]] = collections.Counter()
    for event in recorded.events(folder):
        compiled = decoders.decode(event.kind, event.keys, event.data)
        if compiled is None:
            unknown[event.kind.value, event.keys[0]] += 1
            continue
        assert events.to_args(compiled) == by_starknet_py(V1_ABIS[event.kind], event)
        compared[event.kind.value, events.name_of(compiled)] += 1
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
            if events.name_of(decoded) in ("CreateVToken", "SetInterestRateConfig"):
                nested.add(event.keys[0] != hex(selectors.EVENTS[events.name_of(decoded)]))
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


def _mainnet() -> tuple[list[events.VesuEvent], dict]:
    answer = json.loads((MAINNET / "getEvents_vesu_v11_3573626.json").read_text())
    decoded = [
        decoders.decode(kinds.Kind.SINGLETON_V1_1, raw["keys"], raw["data"])
        for raw in answer["events"]
    ]
    assert None not in decoded
    return decoded, json.loads((MAINNET / "expected.json").read_text())


def _args(decoded: list[events.VesuEvent], name: str) -> dict:
    (event,) = [event for event in decoded if events.name_of(event) == name]
    return events.to_args(event)


def test_the_real_block_decodes_to_what_is_expected() -> None:
    decoded, expected = _mainnet()
    assert [events.name_of(event) for event in decoded] == expected["event_order"]
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
        events.to_args(decoded)
        for raw in raw_events
        if (decoded := decoders.decode(kinds.Kind.VTOKEN_V1_1, raw["keys"], raw["data"]))
    ]
    assert [int(mint["value"]) for mint in minted] == [
        int(expected["token_flow"]["vETH_minted_to_user"])
    ]
    assert int(minted[0]["from"], 16) == 0


# --- selectors -----------------------------------------------------------------------------


def test_selectors_are_keccaks_of_their_names() -> None:
    for table in (selectors.EVENTS, selectors.VIEWS):
        for name, selector in table.items():
            assert selector == get_selector_from_name(name), name
    listed = json.loads((recorded.DATA / "selectors.json").read_text())
    assert {name: int(felt, 16) for name, felt in listed.items()} == selectors.EVENTS


def test_known_selectors_are_the_first_keys_of_all_recorded_events() -> None:
    for folder in (recorded.DEVNET_A, *recorded.V1_RECORDINGS):
        for event in recorded.events(folder):
            assert event.keys[0] in decoders.known_selectors(event.kind)


def test_every_kind_has_a_decoder() -> None:
    for kind in set(kinds.Kind) - set(kinds.POOLS.values()):
        assert decoders.known_selectors(kind)


# --- what does not fit ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds.Kind)
def test_strange_selectors_are_nobodys(kind: kinds.Kind) -> None:
    assert decoders.decode(kind, [], []) is None
    assert decoders.decode(kind, ["0x1"], ["0x2"]) is None
    assert decoders.decode(kind, ["0x1", hex(selectors.EVENTS["Transfer"])], []) is None


def test_a_component_without_a_known_inner_event_is_nobodys() -> None:
    prefix = hex(selectors.EVENTS["InterestRateModelEvents"])
    for kind in (kinds.Kind.POOL_V2, kinds.Kind.EXTENSION_V1_0, kinds.Kind.EXTENSION_V1_1):
        assert decoders.decode(kind, [prefix], []) is None
        assert decoders.decode(kind, [prefix, "0x1"], []) is None


@pytest.mark.parametrize("felt", [hex(foreign.PRIME), "-0x1", "0xno", ""])
@pytest.mark.parametrize("kind", [kinds.Kind.VTOKEN_V2, kinds.Kind.VTOKEN_V1_0])
def test_felts_that_are_none_do_not_decode(kind: kinds.Kind, felt: str) -> None:
    keys = [hex(selectors.EVENTS["Transfer"]), "0x1", "0x2"]
    with pytest.raises(errors.UndecodableEventError, match=f"Transfer of {kind.value}: "):
        decoders.decode(kind, keys, ["0x0", felt])


def test_the_error_says_what_was_expected() -> None:
    keys = [hex(selectors.EVENTS["AccrueFees"]), "0x1"]
    with pytest.raises(
        errors.UndecodableEventError,
        match="AccrueFees of singleton_v1_0: expected 3 key and 2 data felts or 4 key and 4 data "
        "felts, found 1 and 1",
    ):
        decoders.decode(kinds.Kind.SINGLETON_V1_0, keys, ["0x1"])


def test_accrue_fees_has_two_layouts_that_their_lengths_tell_apart() -> None:
    selector = hex(selectors.EVENTS["AccrueFees"])
    deployed = decoders.decode(
        kinds.Kind.SINGLETON_V1_0, [selector, "0x1", "0x2", "0x3"], ["0x4", "0x0"]
    )
    audited = decoders.decode(
        kinds.Kind.SINGLETON_V1_0,
        [selector, "0x1", "0x2", "0x3", "0x4"],
        ["0x5", "0x0", "0x6", "0x1"],
    )
    assert deployed == events_v1.AccrueFees(pool_id=1, asset=2, recipient=3, fee_shares=4)
    assert audited == events.AbiEvent(
        "AccrueFees",
        {
            "pool_id": felt252.padded(1),
            "collateral_asset": felt252.padded(2),
            "debt_asset": felt252.padded(3),
            "recipient": felt252.padded(4),
            "collateral_asset_fee_shares": "5",
            "debt_asset_fee_shares": str(6 + (1 << 128)),
        },
    )


# --- shown arguments -----------------------------------------------------------------------


def test_arguments_show_felts_as_hex_and_numbers_as_decimals() -> None:
    event = events.Transfer(1, 2, 10**30)
    assert events.to_args(event) == {
        "from": "0x" + "1".zfill(64),
        "to": "0x" + "2".zfill(64),
        "value": "1" + "0" * 30,
    }
    paused = events_v2.ModifyDelegation(1, 2, delegation=True)
    assert events.to_args(paused)["delegation"] is True


def test_arguments_of_all_recorded_events_are_json() -> None:
    for folder in (recorded.DEVNET_A, *recorded.V1_RECORDINGS):
        for event in recorded.events(folder):
            decoded = decoders.decode(event.kind, event.keys, event.data)
            assert decoded is not None
            args = events.to_args(decoded)
            assert msgspec.json.decode(msgspec.json.encode(args)) == args


def test_names_padded_with_zeros_stay_in_the_keys_and_leave_the_arguments() -> None:
    """PostgreSQL's jsonb holds no NUL; by hand and by ABI the arguments are the same."""
    keys = [hex(selectors.EVENTS["CreateVToken"]), "0x1", "0x2", "0x3"]
    padded = ["0x0", hex(int.from_bytes(b"\0\0vETH")), "0x6"]
    keys += padded + padded
    created = decoders.decode(kinds.Kind.POOL_FACTORY_V2, keys, [])
    assert isinstance(created, events_v2.CreateVToken)
    assert created.v_token_symbol == "\0\0vETH"
    found = abi.find(packaged.load("pool_factory_v2"), keys)
    assert found is not None
    args = events.to_args(created)
    assert args == abi.decode(found[1], ints(keys[1:]), []).args
    assert args["v_token_symbol"] == "\ufffd\ufffdvETH"
    assert b"\\u0000" not in msgspec.json.encode(args)
