"""The context from which a JSON-RPC method is answered, and the parsing of its parameters."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.recording import chain, options, playhead, profiles, shapes, view

T = TypeVar("T")

_FELT = re.compile(r"0x[0-9a-fA-F]{1,64}")


@dataclasses.dataclass(frozen=True)
class Context:
    """One request's surroundings: the chain as visible now, and the profile asked for."""

    recording: chain.Recording
    playhead: playhead.Playhead
    view: view.View
    options: options.ServerOptions
    profile: profiles.Profile
    shapes: shapes.Shapes

    def block(self, block_id: object) -> chain.Block:
        """The block that a BLOCK_ID names; RpcError 24 when there is none such.

        A recording has no block under construction: its tag means the latest block.
        """
        if isinstance(block_id, str):
            block = self._tagged(block_id)
        elif isinstance(block_id, dict) and set(block_id) == {"block_number"}:
            block = self.view.block_at(convert(block_id["block_number"], int, "block_number"))
        elif isinstance(block_id, dict) and set(block_id) == {"block_hash"}:
            block = self._hashed(felt(block_id["block_hash"], "block_hash"))
        else:
            raise invalid_params(f"{block_id!r} is not a block id")
        if block is None:
            raise errors.RpcError("Block not found", 24)
        return block

    def _tagged(self, tag: str) -> chain.Block | None:
        if tag == "l1_accepted":
            return self.view.finalised
        if tag in ("latest", "pending" if self.profile.pending_tag else "pre_confirmed"):
            return self.view.head
        raise invalid_params(f"{tag!r} is not a block tag of RPC {self.profile.spec_version}")

    def _hashed(self, block_hash: str) -> chain.Block | None:
        block = self.recording.block_by_hash(block_hash)
        if block is None or self.view.contains(block):
            return block
        kept = self.options.keep_abandoned and self.playhead.was_shown(block)
        return block if kept else None


def invalid_params(reason: str) -> errors.RpcError:
    """The error for parameters that make no sense."""
    return errors.RpcError("Invalid params", -32602, {"reason": reason})


def felt(value: object, name: str) -> str:
    """A felt in canonical hex text from any hex text; RpcError -32602 for anything else."""
    if isinstance(value, str) and _FELT.fullmatch(value) and int(value, 16) < felt252.PRIME:
        return hex(int(value, 16))
    raise invalid_params(f"{name}: {value!r} is not a felt in hex text")


def convert(value: Any, kind: type[T], name: str) -> T:
    """The value as the type that a parameter demands; RpcError -32602 where it does not fit."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise invalid_params(f"{name}: {error}") from error
