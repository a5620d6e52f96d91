"""The settings that the API process receives from the daemon."""

from __future__ import annotations

import msgspec

from indexer import config


class ApiSettings(msgspec.Struct, frozen=True):
    """The settings of the process that serves the API."""

    settings: config.Settings
    url: str

    @property
    def text(self) -> bytes:
        """The settings as JSON, with passwords: only the API's process may read it."""
        return msgspec.json.encode(self, enc_hook=str)

    @classmethod
    def read(cls, text: bytes) -> ApiSettings:
        """Parse that text."""
        return msgspec.json.decode(text, type=cls, dec_hook=lambda hint, value: hint(value))
