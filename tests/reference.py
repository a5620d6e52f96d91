"""docs/reference.md: commands and options as click knows them, error classes, log messages.

`python -m tests.reference` writes the generated parts anew; a test compares them with the code.
The sentences of the log messages are written by hand.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import click

from indexer import cli, errors

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reference.md"
SHARED = frozenset({"config_file", "env_file", "as_json"})
"""Parameters of every command, which the page explains once."""

_LOGGED = re.compile(
    r"""(?:\blog|self\._log)\.(?:debug|info|warning|error|log)\((?:[^"()]*,)?\s*"([a-z_]+)\""""
)


def generated() -> dict[str, str]:
    """The text of each generated part, by its name."""
    return {"commands": _commands(), "errors": _errors()}


def logged() -> set[str]:
    """The messages that the package logs."""
    found = set()
    for path in sorted((ROOT / "indexer").rglob("*.py")):
        found |= set(_LOGGED.findall(path.read_text("utf-8")))
    return found


def explained(page: str) -> set[str]:
    """The log messages that the page explains."""
    return set(
        re.findall(r"^\| `([a-z_]+)` \|", page.partition("## Log messages")[2], re.MULTILINE)
    )


def written(page: str) -> str:
    """The page with its generated parts as they are now."""
    for name, text in generated().items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}"
    return page


def _commands() -> str:
    parts = []
    for name, summary in cli.COMMANDS.items():
        module = importlib.import_module(f"indexer.commands.{name.replace('-', '_')}")
        command: click.Command = module.command
        lines = [f"### `{name}`", "", summary, ""]
        for parameter in command.params:
            if parameter.name in SHARED:
                continue
            if isinstance(parameter, click.Option):
                names = "/".join([*parameter.opts, *parameter.secondary_opts])
                told = " ".join((parameter.help or "").split())
                lines.append(f"* `{names}` {told}".rstrip())
            else:
                lines.append(f"* `{(parameter.name or '').upper()}`")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _errors() -> str:
    lines = ["| class | exit | what it means |", "|---|---|---|"]
    for name, made in inspect.getmembers(errors, inspect.isclass):
        if made.__module__ == errors.__name__ and issubclass(made, errors.IndexerError):
            told = (made.__doc__ or "").strip().splitlines()[0]
            lines.append(f"| `{name}` | {made.exit_code} | {told} |")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
