"""The shapes of a block: with receipts (as recorded), with transactions, with hashes alone."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from indexer.recording import chain, profiles

Shape = Literal["receipts", "transactions", "hashes"]

# Header fields that came with RPC 0.10.
_NEW_FIELDS = (
    "event_commitment",
    "event_count",
    "receipt_commitment",
    "state_diff_commitment",
    "state_diff_length",
    "transaction_commitment",
    "transaction_count",
)


KEPT_BLOCKS = 512


class Shapes:
    """Blocks as JSON text, made once for each shape, profile and finality while they are asked for.

    The KEPT_BLOCKS that were made last are kept.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[chain.Block, Shape, bool, bool], msgspec.Raw] = {}

    def block(
        self, block: chain.Block, shape: Shape, profile: profiles.Profile, final: bool
    ) -> msgspec.Raw:
        """The block's JSON text in one of its shapes."""
        key = (block, shape, profile.indexes, final)
        if key not in self._made:
            if len(self._made) == KEPT_BLOCKS:
                del self._made[next(iter(self._made))]
            body = _block(block, shape, profile, final)
            self._made[key] = msgspec.Raw(msgspec.json.encode(body))
        return self._made[key]


def status(final: bool) -> str:
    """The finality status of a block or transaction."""
    return "ACCEPTED_ON_L1" if final else "ACCEPTED_ON_L2"


def receipt(item: dict[str, Any], final: bool) -> dict[str, Any]:
    """The receipt of a recorded transaction."""
    return {**item["receipt"], "finality_status": status(final)}


def transaction(item: dict[str, Any]) -> dict[str, Any]:
    """A recorded transaction with its hash."""
    return {"transaction_hash": item["receipt"]["transaction_hash"], **item["transaction"]}


def _block(
    block: chain.Block, shape: Shape, profile: profiles.Profile, final: bool
) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(block.answer)
    body["status"] = status(final)
    if not profile.indexes:
        for field in _NEW_FIELDS:
            body.pop(field, None)
    body["transactions"] = [_item(item, shape, final) for item in body["transactions"]]
    return body


def _item(item: dict[str, Any], shape: Shape, final: bool) -> Any:
    if shape == "hashes":
        return item["receipt"]["transaction_hash"]
    if shape == "transactions":
        return transaction(item)
    return {"transaction": item["transaction"], "receipt": receipt(item, final)}
