"""Blocks' texts in the shapes that are asked for, of which the newest are kept."""

from __future__ import annotations

import json

import pytest

from indexer.recording import chain, profiles, shapes

BLOCKS = chain.load(chain.bundled()).main.blocks
PROFILE = profiles.by_path("0.10.2")["/"]


def test_as_many_texts_are_kept_as_the_bound_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "KEPT_BLOCKS", 5)
    kept = shapes.Shapes()
    for _ in range(2):
        for number, block in BLOCKS.items():
            body = json.loads(bytes(kept.block(block, "hashes", PROFILE, final=False)))
            recorded = json.loads(bytes(block.answer))["transactions"]
            assert body["block_number"] == number
            assert body["transactions"] == [
                item["receipt"]["transaction_hash"] for item in recorded
            ]
    newest = [kept.block(BLOCKS[number], "hashes", PROFILE, final=False) for number in (124, 125)]
    again = [kept.block(BLOCKS[number], "hashes", PROFILE, final=False) for number in (124, 125)]
    assert all(one is other for one, other in zip(newest, again, strict=True))
    assert len(kept._made) == 5
