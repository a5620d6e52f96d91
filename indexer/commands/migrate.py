"""`migrate`: apply, list and roll back the migrations; yoyo does the work."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import click

from indexer import urls, values
from indexer.app import databases
from indexer.audit import indexes
from indexer.commands import arguments, event_loop, output
from indexer.log import cursor
from indexer.store import database, locks, migrate


@click.command(
    epilog="Example: DATABASE_URL=postgresql://localhost/vesu vesu-indexer migrate --list"
)
@arguments.options
@click.option("--list", "listing", is_flag=True, help="Show what is applied and what is pending.")
@click.option("--rollback", is_flag=True, help="Roll all migrations back: drops every table.")
@arguments.yes
def command(
    config_file: Path | None, as_json: bool, listing: bool, rollback: bool, yes: bool
) -> None:
    """Apply the migrations that are missing. `yoyo apply` in the checkout does the same.

    With --rollback all tables of the indexer are dropped. Where they hold anything this is asked
    on a terminal, and refused elsewhere without --yes.
    """
    if listing and rollback:
        raise click.UsageError("--list and --rollback exclude each other")
    settings = arguments.settings(config_file)
    with databases.database_url(settings, make=not (listing or rollback)) as url:
        changed: list[str] = []
        if rollback:
            changed = _rollback(url, yes=yes)
        elif not listing:
            changed = migrate.apply(url)
        applied, pending = migrate.applied(url), migrate.pending(url)
        remedies = [] if pending else event_loop.run(_index_remedies(url))
    if as_json:
        output.print_json(
            {"changed": changed, "applied": applied, "pending": pending, "index_remedies": remedies}
        )
        return
    for name in changed:
        click.echo(f"{'rolled back' if rollback else 'applied'}  {name}")
    if listing:
        for name in migrate.known():
            click.echo(f"{'applied' if name in applied else 'pending'}  {name}")
    elif not changed:
        click.echo(
            "Nothing to do: no migration is applied."
            if rollback
            else "Nothing to do: the database is up to date."
        )
    if remedies:
        click.echo("But indexes are not what the migrations made; these statements restore them:")
        for statement in remedies:
            click.echo(f"  {statement}")


async def _index_remedies(url: str) -> list[str]:
    """What restores the indexes that are missing although the migrations made them."""
    async with database.session(url) as connection:
        return (await indexes.check(connection)).remedies


def _rollback(url: str, *, yes: bool) -> list[str]:
    """Roll back unless tables hold something and nobody agrees; never under a running indexer."""
    if destroyed := event_loop.run(_destroyed(url)):
        arguments.require_consent(
            f"This drops all tables of the indexer in {urls.redact(url)}: {destroyed}.", yes=yes
        )
    return event_loop.run(_rolled_back(url))


async def _destroyed(url: str) -> str | None:
    """A sentence about what a rollback destroys; None if nothing."""
    async with database.session(url) as connection:
        try:
            committed = await cursor.read(connection)
            events = await connection.fetchval("SELECT count(*) FROM events")
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
            return None  # Not all migrations are applied: no run has written anything.
    if committed is None or (committed.block_hash is None and not events):
        return None
    return f"{values.counted(events, 'event')}, and the state at block {committed.block_number:,}"


async def _rolled_back(url: str) -> list[str]:
    async with locks.WriterLock(url):
        return migrate.rollback(url)
