"""Cursors: the place where a page ends, signed, and pinned to the block that the pages show.

A cursor holds nothing that an asker may not say: a block, its fork, and the key of a row. The
signature refuses what was cut, mixed up or made by hand before it reaches a statement.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac

import msgspec

from indexer import errors

SIGNATURE_BYTES = 16
MAX_LENGTH = 1_500
"""Characters of a cursor; the longest key that a list makes fits well."""


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where the next page begins. `question` is the digest of route, filters and order.

    `sampling` is the newest storing of sampled prices that the pages know; `valued_at` is the time
    asked for where a time was, None: the block's own.
    """

    question: str
    block_number: int
    block_hash: str
    fork_counter: int
    sampling: int
    valued_at: datetime.datetime | None
    after: tuple[str, ...]


class Signer:
    """Makes cursors and reads them again; `secret` is the same on all servers of one API."""

    def __init__(self, secret: bytes) -> None:
        self._key = hashlib.sha256(b"vesu-indexer cursor\x00" + secret).digest()

    def write(self, cursor: Cursor) -> str:
        """The cursor as text for a URL."""
        body = msgspec.json.encode(cursor)
        return base64.urlsafe_b64encode(self._signature(body) + body).decode().rstrip("=")

    def read(self, text: str, question: str) -> Cursor:
        """Parse a cursor; QuestionError for a wrong signature or a cursor of another question."""
        cursor = self._parsed(text)
        if cursor is None:
            raise errors.QuestionError(
                "cursor: this is not a cursor that this API made", parameter="cursor"
            )
        if cursor.question != question:
            raise errors.QuestionError(
                "cursor: it belongs to another question; keep path, filters and order as they were",
                parameter="cursor",
            )
        return cursor

    def _parsed(self, text: str) -> Cursor | None:
        if len(text) > MAX_LENGTH or not text.isascii():
            return None
        try:
            signed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except (ValueError, binascii.Error):
            return None
        signature, body = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(body)):
            return None
        return msgspec.json.decode(body, type=Cursor)

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:SIGNATURE_BYTES]


def question(path: str, query_values: dict[str, str]) -> str:
    """The digest of a page's question: all parameters except the cursor and the limit."""
    kept = sorted(
        (name, text) for name, text in query_values.items() if name not in ("cursor", "limit")
    )
    return hashlib.sha256(msgspec.json.encode([path, kept])).hexdigest()[:32]
