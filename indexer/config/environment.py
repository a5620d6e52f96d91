"""Variables of the environment and of a .env file, and those that only look like settings."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

import dotenv
import dotenv.parser
import msgspec

from indexer import errors

ENV_FILE = ".env"
PREFIXES = ("VESU_", "DB_", "DATABASE_URL")
"""How the names of variables that are settings begin."""

_SERVICE_NAMES = re.compile(
    r"\w+_SERVICE_HOST|\w+_SERVICE_PORT(_\w+)?|\w+_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class Variable(msgspec.Struct, frozen=True):
    """A variable's text, and where it stands, for messages."""

    text: str
    source: str


def read(environ: Mapping[str, str], env_file: Path | None) -> dict[str, Variable]:
    """The variables of the process, and below them those of a .env file."""
    process = {
        name: Variable(text, f"environment variable {name}")
        for name, text in environ.items()
        if not is_of_a_service(name, text)
    }
    return (_from_file(env_file) if env_file else {}) | process


def find_file(flag_file: Path | None, config_file: Path | None) -> Path | None:
    """The .env file to read: the one that is given, else the one beside the configuration file.

    Without a configuration file the current folder counts. ConfigError: the given one is not there.
    """
    if flag_file is not None:
        if not flag_file.is_file():
            raise errors.ConfigError(f"{flag_file} is not a file: give a .env file with --env-file")
        return flag_file
    folder = Path() if config_file is None else config_file.parent
    path = folder / ENV_FILE
    return path if path.is_file() else None


def is_of_a_service(name: str, text: str) -> bool:
    """Whether Kubernetes made the variable, as it does in each pod for each Service.

    A Service named vesu makes VESU_PORT=tcp://10.0.0.1:80, VESU_SERVICE_HOST,
    VESU_PORT_80_TCP_ADDR and more; one named vesu-api even VESU_API_PORT, which is a setting too.
    """
    if _SERVICE_NAMES.fullmatch(name):
        return True
    return name.endswith("_PORT") and _SERVICE_ADDRESS.match(text) is not None


def of_services(environ: Mapping[str, str]) -> list[str]:
    """The names of the variables that look like settings and are Kubernetes' own."""
    return sorted(
        name
        for name, text in environ.items()
        if name.startswith(PREFIXES) and is_of_a_service(name, text)
    )


def _from_file(file: Path) -> dict[str, Variable]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise errors.ConfigError(f"{file} cannot be read ({reason}): mend or remove it") from error
    # What the library would only warn of, and pass over.
    for line in dotenv.parser.parse_stream(io.StringIO(text)):
        if line.error:
            raise errors.ConfigError(f"{file}: line {line.original.line} is no VARIABLE=value")
        if line.key and line.value is None and line.key.startswith(PREFIXES):
            raise errors.ConfigError(f"{file}: {line.key} has no value: write {line.key}=…")
    entries = dotenv.dotenv_values(stream=io.StringIO(text))
    return {
        name: Variable(text, f"{file}: {name}")
        for name, text in entries.items()
        if text is not None and not is_of_a_service(name, text)
    }
