"""Text of whatever origin, as errors and log lines may show it."""

from __future__ import annotations

from collections.abc import Iterable

from indexer import urls
from indexer.cairo import text as texts

_secrets: list[str] = []


def keep_secret(secrets: Iterable[str]) -> None:
    """From now on `shown` takes these keys and passwords out, and no others.

    Those that are short enough to be words are left: they would be taken out of every sentence.
    """
    _secrets[:] = sorted(set(filter(urls.is_key_like, secrets)), key=len, reverse=True)


def shown(text: str) -> str:
    """The text without secrets and without control characters."""
    return texts.printable(urls.hide(text, _secrets))


class Line:
    """The line of a terminal that progress is written over; what follows begins below it."""

    def __init__(self) -> None:
        self.is_open = False

    def below(self, text: str) -> str:
        """The text as it is written next: on a line of its own."""
        if not self.is_open:
            return text
        self.is_open = False
        return f"\n{text}"


progress_line = Line()
