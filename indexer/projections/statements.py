"""Statements for any table: `{name}`, `{key}` and their like are filled in from its description.

Placeholders stand for identifiers, never for values. A prefix names the alias of a column list:
`{h_state}` is the state columns of `h`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from indexer.projections import tables

ALIASES = ("c", "d", "excluded", "h", "l", "p", "s", "t", "v", "wanted")


@functools.cache
def fill(text: str, table: tables.Table, live: str = "") -> str:
    """A statement for one table; `live` is the quoted name of the schema that readers see."""
    return text.format(live=live, **_placeholders(table))


@functools.cache
def _placeholders(table: tables.Table) -> Mapping[str, str]:
    """What each placeholder stands for."""
    lists = {name: tuple(columns) for name, columns in _column_lists(table).items()}
    return {
        "name": table.name,
        "history": table.history or table.name,
        "versions": _versions(table).stored_name,
        "stored": table.stored_name,
        "key_arrays": _key_arrays(table),
        "aliased": _aliased(table),
        "read_as_text": _read_as_text(table),
        **{name: _listed(columns) for name, columns in lists.items()},
        **{
            f"{alias}_{name}": _listed(columns, alias)
            for name, columns in lists.items()
            for alias in ALIASES
        },
    }


def compared(table: tables.Table) -> tuple[str, ...]:
    """The columns in which a row's state may differ: neither its key nor its valuation."""
    skipped = {*table.key, *table.valuation}
    return tuple(column for column in table.columns if column not in skipped)


def _column_lists(table: tables.Table) -> dict[str, Iterable[str]]:
    values = tuple(column for column in table.columns if column not in table.key)
    return {
        "key": table.key,
        "row_key": table.row_key,
        "columns": table.columns,
        "values": values,
        "compared": compared(table),
        "display": table.display,
        "valuation": table.valuation,
        "fixed": table.fixed,
        "settings": table.settings,
        "state": (*table.state, tables.EVENT[0]),
        "version": (*table.row_key, *(name for name in values if name not in tables.EVENT)),
        "version_key": _row_key(_versions(table).stored_key),
        "newest_first": [
            f"{column} DESC" for column in (*_row_key(_versions(table).stored_key), *tables.EVENT)
        ],
        "stored_key": table.stored_key,
        "stored_row_key": _row_key(table.stored_key),
        "stored_columns": table.stored_columns,
        "stored_values": [name for name in table.stored_columns if name not in table.stored_key],
        "order": sorted(table.key, key=lambda column: column not in tables.EVENT),
    }


def _versions(table: tables.Table) -> tables.Table:
    return table if table.is_appended else table.past


def _row_key(key: Iterable[str]) -> list[str]:
    return [column for column in key if column not in tables.EVENT]


def _key_arrays(table: tables.Table) -> str:
    """The parameters that name rows: one array a column of the key."""
    return ", ".join(
        f"${number}::{tables.KEY_TYPES.get(column, 'text')}[]"
        for number, column in enumerate(table.row_key, start=1)
    )


def _aliased(table: tables.Table) -> str:
    """The state columns of a current row `t` under the names of its history."""
    columns = (*table.state, tables.EVENT[0])
    return ", ".join(f"t.{table.current_name(column)} AS {column}" for column in columns)


def _read_as_text(table: tables.Table) -> str:
    """The same columns, and the valuation as the last ones; numbers as text."""
    names = {column: table.current_name(column) for column in (*table.state, tables.EVENT[0])}
    names |= {column: column for column in table.valuation}
    casts = dict.fromkeys(table.numbers, "::text")
    return ", ".join(
        f"t.{current}{casts.get(column, '')} AS {column}" for column, current in names.items()
    )


def _listed(names: Iterable[str], alias: str = "") -> str:
    return ", ".join(f"{alias}.{name}" if alias else name for name in names)
