"""Named SQL statements: every statement lives in a .sql file, under a name and a description.

A .sql file lies beside the module that owns it, and only modules of the same package load it:
`sqlfile.load(__package__, "positions")`.
"""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Mapping
from importlib import resources

_HEADER = re.compile(r"^-- name: (\w+)\n-- (?!name:)(.+)\n", re.MULTILINE)
_COMMENT = re.compile(r"--[^\n]*")


@functools.cache
def load(package: str, name: str) -> Mapping[str, str]:
    """The statements of `<name>.sql` in a package, by name; the file is read once.

    ValueError where the file breaks the rules of `parse`: a mistake in the package.
    """
    text = (resources.files(package) / f"{name}.sql").read_text("utf-8")
    try:
        return types.MappingProxyType(parse(text))
    except ValueError as error:
        raise ValueError(f"{name}.sql: {error}") from error


def quoted(name: str) -> str:
    """A name as an SQL identifier, for the few statements whose tables are not known before."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def parse(text: str) -> dict[str, str]:
    """Statements by name; before each stand `-- name: a_word` and a line `-- description`.

    ValueError: a name without a description (its statement would hang on to the one before),
    a name twice, an empty statement, a file without any, or text before the first name.
    """
    headers = list(_HEADER.finditer(text))
    if not headers or text[: headers[0].start()].strip():
        raise ValueError("does not begin with `-- name: a_word` and a line `-- description`")
    if len(headers) != len(re.findall(r"^\s*--\s*name\b", text, re.MULTILINE)):
        raise ValueError("a name lacks its line `-- description`, or is not one word")
    ends = [header.start() for header in headers[1:]] + [len(text)]
    statements: dict[str, str] = {}
    for header, end in zip(headers, ends, strict=True):
        statement = text[header.end() : end].strip().rstrip(";")
        if header[1] in statements:
            raise ValueError(f"statement {header[1]} is there twice")
        if not _COMMENT.sub("", statement).strip():
            raise ValueError(f"statement {header[1]} is empty")
        statements[header[1]] = statement
    return statements
