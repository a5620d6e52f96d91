"""`restore`: a backup into an empty database, proved to be what was backed up."""

from __future__ import annotations

import sys
from pathlib import Path

import asyncpg
import click
import msgspec

from indexer import errors, values
from indexer.app import databases
from indexer.audit import manifest
from indexer.commands import arguments, event_loop, output, progress
from indexer.projections.shadow import build
from indexer.store import catalog, database, dumps, locks, migrate, upkeep


class RestoreResult(msgspec.Struct, frozen=True):
    """What was restored, and whether it is what was backed up."""

    file: str
    block_number: int
    block_hash: str
    proof: manifest.Proof
    pending_migrations: list[str]


@click.command(epilog="Example: vesu-indexer restore vesu.dump")
@arguments.options
@click.argument("file", type=arguments.FILE)
@click.option("--force", is_flag=True, help="Replace the indexer's tables that are there.")
def command(config_file: Path | None, as_json: bool, file: Path, force: bool) -> None:
    """Restore a backup, in one transaction, and prove that it is what was backed up.

    The database must be empty. With --force the tables that the backup holds are replaced;
    other tables are in the way still. Refused while an indexer writes. Afterwards every table's
    hash and the digest are compared with the manifest's. Exit code 1: they differ.
    """
    settings = arguments.settings(config_file)
    kept = manifest.read(file)
    with databases.database_url(settings, make=True) as url:
        proof = event_loop.run(_restore(url, file, kept, force=force, quiet=as_json))
        pending = migrate.pending(url)
    outcome = RestoreResult(str(file), kept.block_number, kept.block_hash, proof, pending)
    if as_json:
        output.print_json(outcome)
    else:
        _print(outcome)
    sys.exit(0 if proof.is_equal else 1)


async def _restore(
    url: str, file: Path, kept: manifest.Manifest, *, force: bool, quiet: bool
) -> manifest.Proof:
    line = progress.Counted("restoring", "bytes", quiet=quiet)
    async with locks.WriterLock(url), database.session(url) as connection:
        if not await locks.try_lock(connection, migrate.MIGRATE_KEY):
            raise errors.WriterConflictError(
                "another process is migrating this database: try again when it is done"
            )
        is_empty = await _require_room(connection, kept, force=force)
        await catalog.make_guide(connection)
        client = dumps.restorer(connection.get_server_version().major, kept.dumped_by)
        await dumps.restore(client, url, kept.schema, file, line.update, replace=not is_empty)
        # What a replay of the replaced tables left has nothing to do with these.
        await build.drop(connection)
        await catalog.open_guide(connection)
        # Until then the planner knows nothing of the tables.
        await upkeep.analyze(connection)
        return await manifest.prove(connection, kept)


async def _require_room(
    connection: asyncpg.Connection, kept: manifest.Manifest, *, force: bool
) -> bool:
    """Whether the schema is empty; refuses objects that are in the way."""
    schema = await catalog.schema(connection)
    if schema != kept.schema:
        raise errors.ConfigError(
            f"the backup is of schema {kept.schema}, but this role makes tables in {schema}: set "
            f"search_path to {kept.schema} (ALTER ROLE … SET search_path)"
        )
    existing = list(await catalog.relations(connection))
    if existing and not force:
        raise errors.ConfigError(
            f"the database is not empty (it holds {_some(existing)}): name an empty one, or "
            "replace what is there with --force"
        )
    if foreign := sorted(set(existing) - set(kept.relations)):
        raise errors.ConfigError(
            f"the schema holds what the backup does not ({_some(foreign)}), which a restore leaves "
            "alone: restore into an empty database"
        )
    return not existing


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _print(outcome: RestoreResult) -> None:
    proof = outcome.proof
    click.echo(f"Restored block {outcome.block_number:,} {outcome.block_hash}.")
    if proof.is_equal:
        tables, rows = values.counted(proof.tables, "table"), values.counted(proof.rows, "row")
        click.echo(f"Proved equal: {tables}, {rows}, by hash.")
    else:
        click.echo(f"DIFFERS from what was backed up in: {', '.join(proof.differing)}")
    if proof.digest is not None:
        click.echo(f"digest {proof.digest}, {'as' if proof.is_equal else 'not as'} backed up")
    if outcome.pending_migrations:
        pending = values.counted(len(outcome.pending_migrations), "migration")
        click.echo(f"Made by an older version: {pending} to go")
