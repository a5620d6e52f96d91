"""JSON-RPC over a recorded chain: one request object in, one answer object out."""

from __future__ import annotations

import collections
from typing import Any

import msgspec

from indexer import errors
from indexer.recording import chain, context, methods, profiles, shapes
from indexer.recording import options as options_module
from indexer.recording import playhead as playhead_module

Fault = options_module.Fault
NO_FAULT = Fault()


class Node:
    """Answers requests from what the playhead shows. `counts`: calls by method."""

    def __init__(
        self,
        recording: chain.Recording,
        playhead: playhead_module.Playhead,
        options: options_module.ServerOptions,
    ) -> None:
        self.recording = recording
        self.playhead = playhead
        self.options = options
        self.counts: collections.Counter[str] = collections.Counter()
        self._shapes = shapes.Shapes()

    def fault(self, request: Any) -> Fault:
        """The fault to inject into this request."""
        if self.options.fault is None or not isinstance(request, dict):
            return NO_FAULT
        return self.options.fault(request.get("method", ""), request.get("params")) or NO_FAULT

    def answer(self, profile: profiles.Profile, request: Any, fault: Fault) -> bytes:
        """The answer object as JSON text, with the result as the fault edits it."""
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return refusal(None, errors.RpcError("Invalid Request", -32600))
        identity = request.get("id")
        self.counts[request["method"]] += 1
        try:
            if fault.result is not None:
                result = fault.result()
            else:
                result = methods.answer(
                    self._context(profile), request["method"], request.get("params")
                )
            if fault.edit is not None:
                result = fault.edit(msgspec.json.decode(msgspec.json.encode(result)))
        except errors.RpcError as error:
            return refusal(identity, error)
        return msgspec.json.encode({"jsonrpc": "2.0", "id": identity, "result": result})

    def _context(self, profile: profiles.Profile) -> context.Context:
        return context.Context(
            recording=self.recording,
            playhead=self.playhead,
            view=self.playhead.view(),
            options=self.options,
            profile=profile,
            shapes=self._shapes,
        )


def refusal(identity: object, error: errors.RpcError) -> bytes:
    """An answer object that carries an error."""
    answer: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.data is not None:
        answer["data"] = error.data
    return msgspec.json.encode({"jsonrpc": "2.0", "id": identity, "error": answer})
