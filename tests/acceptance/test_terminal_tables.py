"""Tables in a terminal of 80 columns: every name is there, and every number is whole."""

from __future__ import annotations

import re

import pytest

from tests.acceptance import stage, test_listings, truth


@pytest.mark.parametrize("command", ["pools", "positions", "assets", "totals", "transactions"])
@pytest.mark.parametrize("width", [40, 80])
def test_names_and_numbers_are_whole(
    recorded: truth.Recorded, indexed_url: str, command: str, width: int
) -> None:
    """Only addresses and hashes are shortened, to their first and last digits."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    shown = test_listings.on_terminal(environ, width, command)
    if command in ("pools", "assets", "totals"):
        for pool in recorded.manifest["pools"].values():
            assert re.search(rf"\b{pool['name'].split()[0]}\b", shown), shown
    assert re.search(r"\b(ETH|USDC)\b", shown), shown
    for shortened in re.findall(r"\S*…\S*", shown):
        assert re.fullmatch(r"0x[0-9a-f]{4}…[0-9a-f]{4}", shortened), shown
