"""Named SQL statements: every statement lives in a .sql file, under a name and a description."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import resources

_HEADER = re.compile(r"^-- name: (\w+)\n-- (.+)\n", re.MULTILINE)


@functools.cache
def load(name: str) -> Mapping[str, str]:
    """The statements of `sql/<name>.sql` by name.

    ValueError where a name stands twice or a statement is empty: a mistake in the package.
    """
    text = (resources.files("indexer.store") / "sql" / f"{name}.sql").read_text("utf-8")
    headers = list(_HEADER.finditer(text))
    ends = [header.start() for header in headers[1:]] + [len(text)]
    statements: dict[str, str] = {}
    for header, end in zip(headers, ends, strict=True):
        statement = text[header.end() : end].strip().rstrip(";")
        if header[1] in statements or not statement:
            raise ValueError(f"{name}.sql: statement {header[1]} is empty or there twice")
        statements[header[1]] = statement
    return statements
