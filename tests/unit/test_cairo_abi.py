"""Decoders compiled from ABIs: routing, flat and nested, types, and the packaged files."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest
from starknet_py.cairo import data_types

from indexer.cairo import abi, selector, types
from indexer.vesu import decoders, kinds, packaged
from tests.unit import arguments, foreign, recorded
from tests.unit.test_vesu_decoders import V1_ABIS, V2_ABIS

PACKAGED = sorted(path.stem for path in foreign.ABIS.glob("*.json"))

RECORDED_CLASSES = {
    "Pool": "pool_v2",
    "PoolSep22": "pool_v2",
    "PoolFactory": "pool_factory_v2",
    "PoolFactorySep22": "pool_factory_v2",
    "Oracle": "oracle_v2",
    "VToken": "vtoken_v2",
    "Singleton": "singleton_v1",
    "DefaultExtensionPO": "extension_po_v1",
    "DefaultExtensionV0": "extension_v0_genesis",
    "VTokenV10": "vtoken_v1",
    "VTokenA": "vtoken_v1",
    "SingletonV2a": "singleton_v1_1a",
    "DefaultExtensionPOV2a": "extension_po_v1_1a",
    "VTokenV2a": "vtoken_v1_1",
    "SingletonV2b": "singleton_v1_1b",
    "DefaultExtensionPOV2b": "extension_po_v1_1b",
}


def shape(types: foreign.Types) -> list[Any]:
    """Names and types without the modules that they come from, which differ by version."""
    return [(name, _shape(type_)) for name, type_ in types.items()]


def _shape(type_: data_types.CairoType) -> Any:
    match type_:
        case data_types.StructType(types=members):
            return shape(members)
        case data_types.EnumType(variants=variants):
            return list(variants)
        case data_types.ArrayType(inner_type=inner):
            return [_shape(inner)]
    return type_


def meaning(layouts: Any) -> dict:
    return {one.path: (one.name, shape(one.keys), shape(one.data)) for one in layouts}


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_abis_compile_to_what_starknet_py_reads(name: str) -> None:
    compiled = {
        path: (layout.name, [n for n, _ in layout.keys], [n for n, _ in layout.data])
        for path, layouts in abi.table_of([packaged.read(name)]).items()
        for layout in layouts.values()
    }
    assert compiled == {
        layout.path: (layout.name, list(layout.keys), list(layout.data))
        for layout in foreign.layouts(name)
    }


def test_packaged_abis_are_those_of_the_classes_that_ran() -> None:
    compared = 0
    for folder in (recorded.DEVNET_A, *recorded.V1_RECORDINGS):
        for name, class_hash in recorded.manifest(folder)["classes"].items():
            if name not in RECORDED_CLASSES:
                continue
            told = json.loads((folder / "classes" / f"{class_hash}.abi.json").read_text())
            ours = meaning(foreign.layouts(RECORDED_CLASSES[name]))
            assert meaning(foreign.of_abi(told)) == ours, name
            compared += len(ours)
    print(f"{compared} events of recorded classes have their packaged layout")
    assert compared >= 200


@pytest.mark.parametrize("kind", V1_ABIS)
def test_classes_of_one_kind_do_not_hide_each_others_layouts(kind: kinds.Kind) -> None:
    known = decoders.table(kind)
    shapes: dict[tuple, set[str]] = {}
    for name in V1_ABIS[kind]:
        for layout in foreign.layouts(name):
            lengths = tuple(
                sum(_felts(type_) for type_ in types.values())
                for types in (layout.keys, layout.data)
            )
            assert lengths in known[layout.path]
            shown = repr((layout.name, shape(layout.keys), shape(layout.data)))
            shapes.setdefault((layout.path, lengths), set()).add(shown)
    assert all(len(different) == 1 for different in shapes.values())


def _felts(type_: data_types.CairoType) -> int:
    if isinstance(type_, data_types.StructType):
        return sum(_felts(inner) for inner in type_.types.values())
    return 2 if type_ == data_types.UintType(256) else 1


def test_abis_are_read_at_the_first_event_and_not_before() -> None:
    check = (
        "import sys; from indexer.vesu import decoders, kinds, packaged;"
        "assert packaged.read.cache_info().misses == 0;"
        "decoders.decode(kinds.Kind.VTOKEN_V2, [1], []);"
        "decoders.decode(kinds.Kind.VTOKEN_V1_0, [1], []);"
        "assert packaged.read.cache_info().misses == 2;"
        "assert not {'starknet_py', 'importlib.resources'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True, cwd=recorded.ROOT)


def test_every_packaged_abi_is_used() -> None:
    used = {name for names in V1_ABIS.values() for name in names} | set(V2_ABIS.values())
    assert set(PACKAGED) - used == {"erc20"}, "tokens' own events are not decoded"
    # Its events all stand in the one with the migration's events too.
    assert set(abi.table_of([packaged.read("extension_po_v1_1a")])) <= set(
        abi.table_of([packaged.read("extension_po_v1_1a_with_utils_events")])
    )


# --- invented ABIs -------------------------------------------------------------------------


def struct(name: str, **members: str) -> dict[str, Any]:
    """An event; a member's type ends in ` key` if it stands among the keys."""
    return {
        "type": "event",
        "kind": "struct",
        "name": name,
        "members": [
            {"name": n, "type": t.split()[0], "kind": "key" if t.endswith(" key") else "data"}
            for n, t in members.items()
        ],
    }


def enum(name: str, *variants: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "type": "event",
        "kind": "enum",
        "name": name,
        "variants": [{"name": n, "type": t, "kind": k} for n, t, k in variants],
    }


TRANSFER = struct("erc20::Transfer", amount="core::integer::u8")
ERC20 = enum("erc20::Event", ("Transfer", "erc20::Transfer", "nested"))


def sel(name: str) -> int:
    return selector.of(name)


@pytest.mark.parametrize(
    ("how", "path"),
    [("flat", (sel("Transfer"),)), ("nested", (sel("ERC20Event"), sel("Transfer")))],
)
def test_flat_components_have_one_selector_and_nested_ones_two(
    how: str, path: tuple[int, ...]
) -> None:
    root = enum("token::Event", ("ERC20Event", "erc20::Event", how))
    ((found, layout),) = abi.compile_events([TRANSFER, ERC20, root])
    assert found == path
    assert (layout.name, layout.key_felts, layout.data_felts) == ("Transfer", 0, 1)


def test_members_are_split_by_kind_however_they_are_declared() -> None:
    mixed = struct("Mixed", a="core::felt252", b="core::bool key", c="core::integer::u256")
    root = enum("Event", ("Deposit", "Mixed", "nested"))
    ((_, layout),) = abi.compile_events([mixed, root])
    decoded = abi.decode({(1, 3): layout}, [1], [7, 8, 0])
    assert arguments.of(decoded.layout, [9, 1], [7, 8, 0]) == {
        "b": True,
        "a": "0x" + "7".zfill(64),
        "c": "8",
    }


def test_text_among_the_keys_makes_their_length_vary() -> None:
    named = struct("Named", n="core::byte_array::ByteArray key", x="core::felt252 key")
    root = enum("Event", ("CreateVToken", "Named", "nested"))
    ((_, layout),) = abi.compile_events([named, root])
    layouts = {(layout.key_felts, layout.data_felts): layout}
    assert layout.key_felts is None
    assert abi.decode(layouts, [0, 0x6869, 2, 5], []).layout is layout
    keys = [9, 0, 0x6869, 2, 5]
    assert arguments.of(layout, keys, []) == {"n": "hi", "x": "0x" + "5".zfill(64)}
    with pytest.raises(ValueError, match="1 felts are too many"):
        abi.decode(layouts, [0, 0x6869, 2, 5, 6], [])
    with pytest.raises(ValueError, match="3 felts are too few"):
        abi.decode(layouts, [0, 0x6869, 2], [])


@pytest.mark.parametrize(
    ("type_", "defined", "message"),
    [
        ("vesu::Missing", {}, "does not define the type vesu::Missing"),
        ("core::array::Array::<vesu::Missing>", {}, "does not define the type vesu::Missing"),
        (
            "Loaded",
            {"Loaded": {"type": "enum", "name": "Loaded", "variants": [{"type": "core::felt252"}]}},
            "the enum Loaded carries values",
        ),
    ],
)
def test_types_that_no_event_of_ours_has_are_refused(
    type_: str, defined: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        types.type_of(type_, defined)


def test_i257_has_one_zero_of_either_sign() -> None:
    assert types.i257(0, 0, 1) == types.i257(0, 0, 0) == 0
    assert types.i257(1, 2, 1) == -(1 | 2 << 128)
    with pytest.raises(ValueError, match="sign 2"):
        types.i257(1, 0, 2)


def test_abi_folder_is_packaged_beside_the_code() -> None:
    assert pathlib.Path(packaged.__file__).parent / "abis" == foreign.ABIS


def test_lists_say_their_length_first() -> None:
    pairs = types.type_of("core::array::Array::<core::array::Span::<core::integer::u256>>", {})
    assert pairs.felts is None
    felts = [9, 2, 1, 5, 0, 0, 7]
    assert pairs.read(felts, 1) == [[5], []]
    assert arguments.follow(pairs.steps, felts[1:6]) == '[["5"], []]'
    assert pairs.length_at(felts, 1) == 5
    for felts, error in (([3, 1], ValueError), ([2, 1, 5], (ValueError, IndexError))):
        with pytest.raises(error):
            pairs.read(felts, 0)
