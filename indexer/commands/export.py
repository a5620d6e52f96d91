"""`export`: the rows of a table as CSV, NDJSON or Parquet."""

from __future__ import annotations

import contextlib
import importlib.metadata
from pathlib import Path

import asyncpg
import click
import msgspec

from indexer import config, errors, values
from indexer.app import databases
from indexer.cairo import felt252
from indexer.commands import arguments, event_loop, output, output_files, progress
from indexer.query import export, names, parquet

METADATA_VERSION = 1


class Metadata(msgspec.Struct, frozen=True):
    """What an export holds and which block it is true for."""

    metadata_version: int
    indexer_version: str
    table: str
    format: str
    filters: export.Filters
    snapshot: export.Snapshot
    rows: int
    columns: dict[str, str]


class Exported(Metadata, frozen=True):
    """The same once it is written."""

    file: str
    bytes: int
    sha256: str


@click.command(
    epilog="Example: vesu-indexer export vesu_positions --format csv --out positions.csv"
)
@arguments.options
@click.argument("table")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "parquet", "ndjson"]),
    required=True,
    help="What is written.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, allow_dash=True),
    required=True,
    help="The file to write; - for stdout.",
)
@click.option(
    "--pool", type=arguments.felt_or_name, help="Rows of one pool alone: its id, address or name."
)
@arguments.block_range
@click.option("--at-block", type=arguments.BLOCK, help="The state at that block.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(
    config_file: Path | None,
    as_json: bool,
    table: str,
    format_: str,
    out: Path,
    pool: int | str | None,
    from_block: int | None,
    to_block: int | None,
    at_block: int | None,
    force: bool,
) -> None:
    """Write the rows of any table, history or view, from one snapshot, exactly.

    What it is true for (block, hash, filters, columns, rows) goes into FILE.meta.json, for
    Parquet into the file itself. A file has its name only once it is complete. --at-block takes
    pools, assets, positions and contracts from their histories: their exact state, without
    valuations. docs/maintenance.md has the formats.
    """
    if at_block is not None and (from_block is not None or to_block is not None):
        raise click.UsageError("--at-block excludes --from-block and --to-block")
    if as_json and out == output_files.STDOUT:
        raise click.UsageError("--json and --out - exclude each other: both want stdout")
    settings = arguments.settings(config_file)
    if format_ == "parquet":
        parquet.library()
    address = felt252.padded(pool) if isinstance(pool, int) else None
    filters = export.Filters(address, from_block, to_block, at_block)
    name = pool if isinstance(pool, str) else None
    side = out.with_name(f"{out.name}.meta.json")
    has_side = format_ != "parquet" and out != output_files.STDOUT
    if has_side:
        output_files.require_free(side, force=force)
    with output_files.output(out, force=force) as sink:
        metadata = event_loop.run(_export(settings, table, format_, filters, name, sink, as_json))
        done = Exported(
            **msgspec.structs.asdict(metadata),
            file=str(out),
            bytes=sink.bytes,
            sha256=sink.sha256,
        )
        if has_side:
            # Before the file takes its name: an export that is there has its metadata.
            output_files.write_text(side, f"{values.json_text(done)}\n", force=force)
    if as_json:
        output.print_json(done)
    else:
        snapshot = done.snapshot
        where = "standard output" if out == output_files.STDOUT else out
        click.echo(
            f"{values.counted(done.rows, 'row')} of {table} at block {snapshot.block_number:,} "
            f"{snapshot.block_hash} in {where} ({values.size(done.bytes)})",
            err=True,
        )


async def _export(
    settings: config.Settings,
    table: str,
    format_: str,
    filters: export.Filters,
    pool_name: str | None,
    sink: output_files.Sink,
    quiet: bool,
) -> Metadata:
    line = progress.Counted("exporting", "rows", quiet=quiet)
    async with contextlib.AsyncExitStack() as stack:
        connection = await stack.enter_async_context(databases.reader(settings))
        if pool_name is not None:
            address = felt252.padded(await names.pool(connection, pool_name))
            filters = msgspec.structs.replace(filters, pool=address)
        selected = await stack.enter_async_context(export.selection(connection, table, filters))
        metadata = Metadata(
            METADATA_VERSION,
            importlib.metadata.version("vesu-indexer"),
            table,
            format_,
            filters,
            selected.snapshot,
            selected.rows,
            {column.name: column.type for column in selected.columns},
        )
        written = await _write(connection, selected, format_, sink, metadata, line)
        if written != selected.rows:
            raise errors.OutputError(
                f"{values.counted(written, 'row')} of {table} came out and {selected.rows:,} were "
                "counted: not kept"
            )
        line.update(written, written)
    return metadata


async def _write(
    connection: asyncpg.Connection,
    selected: export.Selection,
    format_: str,
    sink: output_files.Sink,
    metadata: Metadata,
    line: progress.Counted,
) -> int:
    if format_ == "parquet":
        pairs = {
            f"vesu-indexer.{name}": _text(value)
            for name, value in msgspec.structs.asdict(metadata).items()
        }
        return await parquet.write(
            connection, selected, sink, pairs, lambda rows: line.update(rows, selected.rows)
        )
    lines = 0

    def write(data: bytes) -> None:
        nonlocal lines
        sink.write(data)
        # Near enough: a text may hold a newline of its own.
        lines += data.count(b"\n")
        line.update(min(lines, selected.rows - 1), selected.rows)

    return await export.copy(connection, selected, "csv" if format_ == "csv" else "ndjson", write)


def _text(value: object) -> str:
    return value if isinstance(value, str) else values.json_text(value, indent=0)
