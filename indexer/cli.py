"""The command line: `vesu-indexer COMMAND`. Errors end in one line and an exit code."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import os
import signal
import sys
import traceback

import click

from indexer import errors

COMMANDS = {
    "run": "Migrate if needed, catch up, follow the head.",
    "serve": "Answer the API alone, from a database that an indexer fills.",
    "reorg": "Take the tables back to a block, where the daemon refuses to.",
    "replay": "Make the projections again from the log, without a node.",
    "demo": "Embedded database, recorded chain, filled tables: no configuration.",
    "migrate": "Apply, list or roll back the migrations.",
    "status": "Cursor, head, lag, reorganisations, unknown events.",
    "verify": "Prove the log complete against the chain; repair what is missing.",
    "verify-indexes": "Check that every expected index is there and valid.",
    "digest": "One hash per table, and one over all, at a block.",
    "audit": "Prove what can be proved without a node, in one report.",
    "reconcile": "The tables against the contracts' own views, tolerance 0.",
    "position": "One position, exact, at any past block or time.",
    "positions": "Positions by pool, user, status or health, at any past block or time.",
    "portfolio": "All that a user holds and owes, at any past block or time.",
    "pools": "Pairs: limits, totals, rates, at any past block or time.",
    "assets": "Assets: totals, rates, configuration, at any past block or time.",
    "totals": "Supplied and borrowed by asset and pool, at any past block or time.",
    "simulate": "What actions would do to a position, and what the contract would refuse.",
    "quote": "Most to borrow and withdraw, what repays all, liquidations that pay.",
    "transactions": "What users did to positions: supply, borrow, repay, withdraw …",
    "liquidations": "What was seized and repaid.",
    "watch": "Follow a transaction by its hash, from before it is on chain.",
    "events": "The raw log, decoded, by block, transaction, name or contract.",
    "export": "The rows of a table as CSV, NDJSON or Parquet.",
    "backup": "The whole database into one file.",
    "restore": "A backup into an empty database.",
    "maintenance": "Vacuum, statistics, indexes, retention, and advice.",
    "doctor": "Check configuration, database, indexes and node; say what to do.",
}
INTERNAL_ERROR = 70
"""What a mistake of the indexer's own ends with (EX_SOFTWARE of sysexits.h)."""


class Lazy(click.Group):
    """Loads a command's module when it is called, so that --help and errors come at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"indexer.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and with the nearest known command where one is not known."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from indexer import values  # not for --help, which comes at once

            near = values.nearest(args[0], COMMANDS)
            hint = f"; the nearest known is '{near}'" if near else ""
            raise click.UsageError(f"No such command '{args[0]}'{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that the group's help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


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
    # Not at the top: `--help` of the group needs no command's module.
    from indexer.commands import showing, streams

    streams.install()
    # So that whoever holds an embedded server or a lock lets go of it on the way out.
    termination = _Termination()
    signal.signal(signal.SIGTERM, termination)
    try:
        code = group.main(prog_name="vesu-indexer", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        _say(f"{error.format_message().rstrip('.')}{_hint(error)}")
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo(showing.progress_line.below("stopped"), err=True)
        code = 130
    except (BrokenPipeError, errors.OutputClosedError):
        # The reader of the output is gone, as in `vesu-indexer events | head`.
        streams.discard(1)
        code = 141
    except errors.IndexerError as error:
        # What breaks on the way out of a termination is its consequence, not the news.
        if termination.code is None:
            _say(str(error))
        code = termination.code or error.exit_code
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - said, not swallowed; the traceback on request
        code = termination.code or _internal(error)
    # The interpreter's last collection would look at every object once more: half of the time
    # that a stop takes.
    gc.freeze()
    sys.exit(code)


class _Termination:
    """SIGTERM: the command ends with 128 + its number, whatever breaks on the way out."""

    code: int | None = None

    def __call__(self, number: int, _: object) -> None:
        self.code = 128 + number
        sys.exit(self.code)


def _say(message: str) -> None:
    from indexer.commands import showing

    line = f"error: {' '.join(showing.shown(message).split())}"
    click.echo(showing.progress_line.below(line), err=True)


def _hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"; see {context.command_path} --help" if context else ""


def _internal(error: BaseException) -> int:
    """A mistake of ours: one line, and the traceback where logs are asked to be detailed."""
    _say(
        f"internal error: {type(error).__name__}: {error}; run with VESU_LOG_LEVEL=debug for the "
        "traceback, and report it"
    )
    if os.environ.get("VESU_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    return INTERNAL_ERROR


if __name__ == "__main__":
    main()
