"""`migrate`: the friendly face of yoyo."""

from __future__ import annotations

from pathlib import Path

import click

from indexer import app
from indexer.commands import arguments, event_loop, output
from indexer.store import locks, migrate


@click.command(
    epilog="Example: DATABASE_URL=postgresql://localhost/vesu vesu-indexer migrate --list"
)
@arguments.options
@click.option("--list", "listing", is_flag=True, help="Show what is applied and what is pending.")
@click.option("--rollback", is_flag=True, help="Take all migrations back: drops every table.")
def command(config_file: Path | None, as_json: bool, listing: bool, rollback: bool) -> None:
    """Apply the migrations that are missing. `yoyo apply` in the checkout does the same."""
    if listing and rollback:
        raise click.UsageError("--list and --rollback exclude each other")
    settings = arguments.settings(config_file)
    with app.database_url(settings) as url:
        changed: list[str] = []
        if rollback:
            changed = event_loop.run(_rollback(url))
        elif not listing:
            changed = migrate.apply(url)
        applied, pending = migrate.applied(url), migrate.pending(url)
    if as_json:
        output.print_json({"changed": changed, "applied": applied, "pending": pending})
        return
    for name in changed:
        click.echo(f"{'rolled back' if rollback else 'applied'}  {name}")
    if listing:
        for name in migrate.known():
            click.echo(f"{'applied' if name in applied else 'pending'}  {name}")
    elif not changed:
        click.echo("Nothing to do: the database is up to date.")


async def _rollback(url: str) -> list[str]:
    """Never under a running indexer."""
    async with locks.WriterLock(url):
        return migrate.rollback(url)
