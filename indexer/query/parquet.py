"""Exported rows as Parquet, through pyarrow (the optional extra `parquet`).

Exactness decides the types. Parquet's decimals end at 76 digits, widely read ones at 38, and a
uint256 has 78: so a numeric column is a decimal only if its declared precision is 38 or less, and
exact decimal text otherwise, the same in every export whatever the values are.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from indexer import errors
from indexer.query import export

ROWS = 10_000
"""Rows of a row group; they are in memory at once."""

DECIMAL_DIGITS = 38


def library() -> ModuleType:
    """pyarrow; ConfigError, with the remedy, where the extra is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise errors.ConfigError(
            'Parquet needs pyarrow, which is not installed: pip install "vesu-indexer[parquet]", '
            "or use --format csv or ndjson"
        ) from error
    module: ModuleType = pyarrow
    return module


async def write(
    connection: export.Connection,
    selected: export.Selection,
    file: io.RawIOBase,
    metadata: Mapping[str, str],
    report: Callable[[int], None],
) -> int:
    """Write the rows and the key-value metadata; returns the number of rows.

    Memory holds one row group at a time.
    """
    pyarrow = library()
    types = {column.name: _type(pyarrow, column) for column in selected.columns}
    schema = pyarrow.schema(
        [
            pyarrow.field(column.name, types[column.name], metadata={"postgres": column.type})
            for column in selected.columns
        ],
        metadata=dict(metadata),
    )
    texts = pyarrow.string()
    rows = 0
    with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        async for batch in export.batches(
            connection, selected, lambda column: types[column.name] == texts, ROWS
        ):
            writer.write_batch(_batch(pyarrow, schema, batch))
            rows += len(batch)
            report(rows)
    return rows


def _batch(pyarrow: Any, schema: Any, rows: Any) -> Any:
    columns = zip(*(row.values() for row in rows), strict=True)
    arrays = [
        pyarrow.array(values, type=field.type)
        for values, field in zip(columns, schema, strict=True)
    ]
    return pyarrow.record_batch(arrays, schema=schema)


def _type(pyarrow: Any, column: export.Column) -> Any:
    """The Arrow type that holds every value of the column exactly; text where none does."""
    if declared := re.fullmatch(r"numeric\((\d+),(\d+)\)", column.type):
        precision, scale = int(declared[1]), int(declared[2])
        if precision <= DECIMAL_DIGITS:
            return pyarrow.decimal128(precision, scale)
    return {
        "smallint": pyarrow.int16(),
        "integer": pyarrow.int32(),
        "bigint": pyarrow.int64(),
        "boolean": pyarrow.bool_(),
        "double precision": pyarrow.float64(),
        "timestamp with time zone": pyarrow.timestamp("us", tz="UTC"),
        "text[]": pyarrow.list_(pyarrow.string()),
    }.get(column.type, pyarrow.string())
