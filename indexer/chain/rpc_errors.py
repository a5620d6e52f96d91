"""The meaning of a JSON-RPC error: an answer, a limit, a failure that passes, or a refusal.

Starknet's specification gives a few codes a meaning. Everything else that nodes, gateways and
providers put into an error is their own: such an error passes, until it has lasted too long.
"""

from __future__ import annotations

import re

from indexer import errors

CONTRACT_NOT_FOUND = 20
ENTRYPOINT_NOT_FOUND = 21
BLOCK_NOT_FOUND = 24
TRANSACTION_NOT_FOUND = 29
PAGE_SIZE_TOO_BIG = 31
NO_BLOCKS = 32
INVALID_TOKEN = 33
TOO_MANY_KEYS = 34
CONTRACT_ERROR = 40
TRANSACTION_ERROR = 41
METHOD_NOT_FOUND = -32601

VIEW_REFUSALS = frozenset(
    {CONTRACT_NOT_FOUND, ENTRYPOINT_NOT_FOUND, CONTRACT_ERROR, TRANSACTION_ERROR}
)
"""Codes that a contract's view answers for good. Their words are a contract's, not the node's."""

ANSWERS = VIEW_REFUSALS | {
    TRANSACTION_NOT_FOUND,
    BLOCK_NOT_FOUND,
    PAGE_SIZE_TOO_BIG,
    NO_BLOCKS,
    INVALID_TOKEN,
    TOO_MANY_KEYS,
}
TRANSIENT = frozenset({-32603, -32010})
BUSY = frozenset({429, 503, -32012})
LIMIT_EXCEEDED = -32005

NO_ENTRYPOINT = re.compile(r"entrypoint_not_found|0x454e545259504f494e545f4e4f545f464f554e44")

_LARGE = re.compile(
    r"range|too (?:many(?! requests| calls| connections)|large|wide|big|long|far)"
    r"|more than [\d,]+|response size|smaller|narrow"
    r"|fewer|split|\bspan\b|\bblocks\b"
)
_LATE = re.compile(r"time.?out|timed out|deadline|took too long")
_BUSY = re.compile(
    r"\brate\b|rate.?limit|retry|try again|unavailable|overload|temporar|busy|throttl|quota"
    r"|too (?:many|frequent) (?:requests|calls|connections)|requests? (?:count|limit)|capacity"
    r"|credits|compute units|(?:per|/) ?s(?:ec|\b)|slow down|back.?off|maintenance|starting up"
)
_LIMIT = re.compile(r"limit|exceed")
_BATCH = re.compile(r"\bbatch|\b(?:in|per) (?:one|each|a single|single) request\b")
"""Words about the calls of one request, however busy the rest of the sentence sounds."""


def meaning(
    text: str, code: int, message: str, data: object, is_divisible: bool
) -> errors.NodeError:
    """The error as one of the node's errors, with `text` for people.

    An RpcError is an answer. `is_divisible`: the request is for a range of blocks, so words that
    may be about its size mean RangeTooLargeError or RefusedRequestError, not a busy node.
    """
    words = f"{message} {'' if data is None else data}".lower()
    if NO_ENTRYPOINT.search(words):
        return errors.RpcError(text, ENTRYPOINT_NOT_FOUND, data)
    is_busy = _BUSY.search(words) is not None
    if code in VIEW_REFUSALS or (code in ANSWERS and not is_busy):
        return errors.RpcError(text, code, data)
    if code in BUSY or (is_busy and not (is_divisible and _LARGE.search(words))):
        return errors.NodeBusyError(text, is_rate=_BATCH.search(words) is None)
    if is_divisible and (_LARGE.search(words) or _LATE.search(words)):
        return errors.RangeTooLargeError(text)
    if code in TRANSIENT or _LATE.search(words):
        return errors.NodeUnreachableError(text, kind="internal")
    if not is_divisible and (code == LIMIT_EXCEEDED or _LIMIT.search(words)):
        return errors.NodeBusyError(text, is_rate=code == LIMIT_EXCEEDED)
    return errors.RefusedRequestError(text, code, data, is_definite=code == METHOD_NOT_FOUND)


def may_be_the_contracts(error: errors.NodeError) -> bool:
    """Whether a view that the node cannot run may be the reason, and not the node alone."""
    if isinstance(error, errors.RefusedRequestError):
        return not error.is_definite
    return error.kind in ("internal", "timeout")
