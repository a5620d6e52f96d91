"""A row holds the whole state: what a projection writes is what it reads back.

A field that neither is written nor parsed comes back as its default after each restart.
"""

from __future__ import annotations

import ast
import datetime
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from indexer.projections import assets, contracts, pools, positions, tables
from indexer.vesu import accrual, kinds, maths, refusals, state

FOLD = Path(__file__).parents[2] / "indexer" / "vesu"
BLOCK = 4_711
POOL = state.PoolKey(0xA, 0xB)

SPECIAL: dict[str, Any] = {
    "block_number": BLOCK,
    "last_event_block": BLOCK,
    "kind": "earn",
    "status": "closed",
    "pool": POOL,
    "model": accrual.RateModel(*range(901, 909)),
    "variant": maths.Variant.V1_1B,
    "variants": (maths.Variant.V1_1C, maths.Variant.V1_1B),
    "variant_votes": ((0xC, (maths.Variant.V1_1C,)), (0xD, (maths.Variant.V1_0,))),
    "violations": ((0xE, 0xF, 1_000), (0xF, 0xE, 2_000)),
    "shutdown_mode": refusals.ShutdownMode.RECOVERY,
}
"""Values of fields that only take some, and of those that a row has of its event."""


def filled(class_: type[msgspec.Struct], **given: Any) -> Any:
    """A state in which every field has a value of its own, and none its default."""
    return class_(**dict(_values(class_), **given))


def _values(class_: type[msgspec.Struct]) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(class_)
    for number, field in enumerate(msgspec.structs.fields(class_), start=1_000):
        types = typing.get_args(hints[field.name]) or (hints[field.name],)
        if field.name in SPECIAL:
            value = SPECIAL[field.name]
        elif bool in types:
            value = not field.default
        elif int in types:
            value = number
        elif str in types:
            value = f"text {number}"
        else:
            pytest.fail(f"{class_.__name__}.{field.name}: give it a value in SPECIAL")
        assert value != field.default, f"{class_.__name__}.{field.name} is left at its default"
        yield field.name, value


def read_back(row: dict[str, Any]) -> Any:
    """The row as the database returns it: times are datetimes."""
    return {
        name: datetime.datetime.fromisoformat(value) if name in tables.TIMES and value else value
        for name, value in row.items()
    }


def row(columns: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
    """A row by the names of its columns."""
    return dict(zip(columns, values, strict=True))


def written() -> dict[tables.Table, tuple[Any, dict[str, Any], Any]]:
    """By table: a state, its row of the history, and what that row is parsed as."""
    event_key = state.EventKey(BLOCK, 2, 3)
    contract = filled(state.ContractState, kind=next(iter(kinds.POOLS.values())))
    pair = filled(state.PairState)
    asset = filled(accrual.AssetState)
    position = filled(state.PositionState)
    key = state.PositionKey(POOL, 3, 4, 0, 5)
    identity = assets.identity("v2", state.AssetKey(POOL, 3))
    pair_key = state.PairKey(POOL, 3, 4)
    rows = {
        tables.CONTRACTS: (contract, contracts.history(event_key, 0xA, contract), contracts),
        tables.POOLS: (
            pair,
            pools.fixed("v2", pair_key, pair)
            | row(pools.VERSION, pools.version("v2", event_key, pair_key, pair, state.World())),
            pools,
        ),
        tables.ASSETS: (
            asset,
            {**assets.settings(asset), **identity}
            | row(assets.VERSION, assets.version(identity["id"], "", event_key, asset)),
            assets,
        ),
        tables.POSITIONS: (
            position,
            row(tables.POSITIONS.fixed, positions.fixed("v2", key, position))
            | row(positions.VERSION, positions.version("v2", event_key, key, position)),
            positions,
        ),
    }
    return {
        table: (made, row, module.parse(read_back(row))[1])
        for table, (made, row, module) in rows.items()
    }


WRITTEN = written()


@pytest.mark.parametrize("table", WRITTEN, ids=lambda table: table.name)
def test_every_field_of_the_state_comes_back(table: tables.Table) -> None:
    made, _, found = WRITTEN[table]
    lost = [
        field.name
        for field in msgspec.structs.fields(made)
        if getattr(made, field.name) != getattr(found, field.name)
    ]
    assert not lost, (
        f"{table.name}: {lost} comes back as its default: write it in columns and "
        "read it in parse of the table's projection"
    )


def test_every_table_of_current_rows_is_tried() -> None:
    assert set(WRITTEN) == set(tables.CURRENT)


def fields_set() -> set[str]:
    """What the fold gives a value: keywords, arguments by position, and `handlers.setting`."""
    found: set[str] = set()
    for path in sorted(FOLD.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                found.update(keyword.arg for keyword in node.keywords if keyword.arg)
                called = ast.unparse(node.func).split(".")[-1]
                if called == "ContractState":
                    order = [field.name for field in msgspec.structs.fields(state.ContractState)]
                    found.update(order[: len(node.args)])
                if called == "setting":
                    found.add(ast.literal_eval(node.args[2]))
    return found


@pytest.mark.parametrize("table", WRITTEN, ids=lambda table: table.name)
def test_every_field_of_the_state_is_set_by_the_fold(table: tables.Table) -> None:
    """A field that no handler sets is a column that never leaves its default."""
    made, _, _ = WRITTEN[table]
    fields = {field.name for field in msgspec.structs.fields(made) if not field.required}
    unset = sorted(fields - fields_set())
    assert not unset, f"{table.name}: no handler in indexer/vesu sets {unset}"
