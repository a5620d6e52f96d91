"""Faults of a served recording, for the tests that inject them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from indexer import errors
from indexer.recording import options

Fault = options.Fault
Edit = Callable[[Any], Any]


class Failing:
    """A fault of one method; from the second time on that it fits, so many times."""

    def __init__(self, method: str, fault: Fault, times: int = 1) -> None:
        self.method = f"starknet_{method}"
        self.made = fault
        self.left = times

    def __call__(self, method: str, _: Any) -> Fault | None:
        if method != self.method or self.left == 0:
            return None
        self.left -= 1
        return self.made


def refuse(code: int, message: str = "no") -> Edit:
    def edit(_: Any) -> Any:
        raise errors.RpcError(message, code)

    return edit


def skipping(failing: Failing, pages: int) -> Callable[[str, Any], Fault | None]:
    """The fault, once so many pages were answered well: then they hold events."""
    seen = itertools.count()

    def fault(method: str, params: Any) -> Fault | None:
        if method == failing.method and next(seen) < pages:
            return None
        return failing(method, params)

    return fault
