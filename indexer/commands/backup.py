"""`backup`: the whole database into one file, and a manifest beside it."""

from __future__ import annotations

from pathlib import Path

import click

from indexer import config, values
from indexer.app import databases
from indexer.audit import manifest
from indexer.commands import arguments, event_loop, output, output_files, progress
from indexer.store import catalog, dumps, migrate


@click.command(epilog="Example: vesu-indexer backup vesu.dump")
@arguments.options
@click.argument("file", type=arguments.FILE)
@click.option("--force", is_flag=True, help="Replace a backup that is there.")
def command(config_file: Path | None, as_json: bool, file: Path, force: bool) -> None:
    """Write the indexer's tables, as one snapshot shows them, into FILE with pg_dump.

    The daemon may go on meanwhile. Beside it FILE.manifest.json says block, hash, digest and a
    hash of every table: `restore` proves by it that what came back is what was there. FILE is
    pg_dump's custom format, which any pg_restore reads.
    """
    settings = arguments.settings(config_file)
    side = manifest.path_of(file)
    output_files.require_free(side, force=force)
    with output_files.partial_file(file, force=force) as part:
        made = event_loop.run(_dump(settings, part, as_json))
        made = manifest.sealed(made, part)
        # Before the archive takes its name: one that is there has its manifest.
        output_files.write_text(side, f"{values.json_text(made)}\n", force=force)
    if as_json:
        output.print_json({"file": str(file), "manifest": made})
        return
    click.echo(
        f"Backed up block {made.block_number:,} {made.block_hash}: "
        f"{values.counted(len(made.contents), 'table')}, {values.size(made.bytes)} in {file}"
    )
    if made.digest is not None:
        click.echo(f"digest {made.digest.all}")


async def _dump(settings: config.Settings, part: Path, quiet: bool) -> manifest.Manifest:
    line = progress.Counted("backing up", "bytes", quiet=quiet)
    with databases.database_url(settings) as url:
        migrations = migrate.applied(url)
        async with databases.reading_connection(url) as connection:
            client = dumps.dumper(connection.get_server_version().major)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                # The transaction waits for pg_dump, as long as that takes.
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                snapshot = await catalog.export_snapshot(connection)
                made = await manifest.make(connection, migrations, client.major)
                sizes = await catalog.sizes(connection)
                await dumps.dump(client, url, made.schema, snapshot, part, sizes, line.update)
    return made
