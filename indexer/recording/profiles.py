"""Versions of the Starknet RPC specification, as far as their answers differ here."""

from __future__ import annotations

import msgspec


class Profile(msgspec.Struct, frozen=True):
    """The differences of one version of the specification.

    `indexes`: events carry transaction_index and event_index, headers carry counts and
    commitments, and getEvents takes a list of addresses. `pending_tag`: the tag of the block
    under construction is "pending", not "pre_confirmed".
    """

    spec_version: str
    indexes: bool
    pending_tag: bool


def by_path(recorded_version: str) -> dict[str, Profile]:
    """The profile that each URL path serves; the recording's own version is 0.10."""
    recorded = Profile(recorded_version, indexes=True, pending_tag=False)
    return {
        "/": recorded,
        "/rpc/v0_8": Profile("0.8.1", indexes=False, pending_tag=True),
        "/rpc/v0_9": Profile("0.9.0", indexes=False, pending_tag=False),
        "/rpc/v0_10": recorded,
    }
