"""The command line: `vesu-indexer COMMAND`. Errors end in one line and an exit code."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys

import click

from indexer import errors

COMMANDS = {
    "run": "Migrate if needed, catch up, follow the head.",
    "replay": "Make the projections again from the log, without a node.",
    "demo": "Embedded database, recorded chain, filled tables: no configuration.",
    "migrate": "Apply, list or roll back the migrations.",
    "status": "Cursor, head, lag, reorganisations, unknown events.",
    "verify-indexes": "Check that every expected index is there and valid.",
    "digest": "One hash per table, and one over all, at a block.",
    "position": "One position, exact, at any past block.",
    "events": "The raw log, decoded.",
    "doctor": "Check configuration, database, indexes and node; say what to do.",
}


class Lazy(click.Group):
    """Loads a command's module when it is called, so that --help and errors come at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"indexer.commands.{name.replace('-', '_')}")
        command: click.Command = module.command
        command.short_help = COMMANDS[name]
        return command


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `vesu-indexer demo`; every command has --help with an example.",
)
@click.version_option(importlib.metadata.version("vesu-indexer"), prog_name="vesu-indexer")
def group() -> None:
    """Exact PostgreSQL tables of the Vesu lending protocol on Starknet."""


def main() -> None:
    """Entry point of the console script."""
    try:
        group.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except errors.IndexerError as error:
        click.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
