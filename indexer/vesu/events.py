"""Typed events. All felts, addresses and integers are Python ints; ByteArrays are text.

`Felt` and `int` are the same to Python; the word says how a field is shown.

Field names are the ABI's, but for `from` and `to` of a transfer, which are Python's keywords
or too short to search for. u256 and i257 are plain ints, i257 signed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from indexer.cairo import felt252, text

Felt = int
"""An address, a class hash or a felt: shown as hex, where an `int` is shown as a number."""


class Struct(msgspec.Struct, frozen=True, gc=False):
    """Base of all events and of the structs inside them."""


# --- structs inside events -----------------------------------------------------------------


class AssetPrice(Struct, frozen=True, gc=False):
    """An oracle price in USD x 10^18, and whether the oracle calls it valid."""

    value: int
    is_valid: bool


class InterestRateConfig(Struct, frozen=True, gc=False):
    """The rate model. Utilisations x 10^5, rates per second x 10^18, half-life in seconds."""

    min_target_utilization: int
    max_target_utilization: int
    target_utilization: int
    min_full_utilization_rate: int
    max_full_utilization_rate: int
    zero_utilization_rate: int
    rate_half_life: int
    target_rate_percent: int


class ContractUpgraded(Struct, frozen=True, gc=False):
    """The contract runs another class from now on."""

    new_implementation: Felt


class OwnershipTransferred(Struct, frozen=True, gc=False):
    """A new owner."""

    previous_owner: Felt
    new_owner: Felt


class OwnershipTransferStarted(Struct, frozen=True, gc=False):
    """An owner to be, who must accept."""

    previous_owner: Felt
    new_owner: Felt


# --- the vToken ----------------------------------------------------------------------------


class Transfer(Struct, frozen=True, gc=False, rename={"sender": "from", "recipient": "to"}):
    """vTokens change hands; 0x0 on one side means minted or burned."""

    sender: Felt
    recipient: Felt
    value: int


class Approval(Struct, frozen=True, gc=False):
    """An allowance."""

    owner: Felt
    spender: Felt
    value: int


class Deposit(Struct, frozen=True, gc=False):
    """Assets supplied for vTokens."""

    sender: Felt
    owner: Felt
    assets: int
    shares: int


class Withdraw(Struct, frozen=True, gc=False):
    """vTokens redeemed for assets."""

    sender: Felt
    receiver: Felt
    owner: Felt
    assets: int
    shares: int


# --- any other -----------------------------------------------------------------------------


class AbiEvent(Struct, frozen=True, gc=False):
    """An event of a kind without hand-written types, decoded by its ABI."""

    name: str
    args: dict[str, Any]


VesuEvent = Struct


def name_of(event: VesuEvent) -> str:
    """The event's name in its ABI."""
    return event.name if isinstance(event, AbiEvent) else type(event).__name__


def to_args(event: VesuEvent) -> dict[str, Any]:
    """Arguments as JSON holds them: felts as 0x and 64 digits, numbers as decimal text.

    What the event does not tell is left out.
    """
    if isinstance(event, AbiEvent):
        return event.args
    return {
        shown: show(value)
        for field, shown, show in _shown_as(type(event))
        if (value := getattr(event, field)) is not None
    }


def _as_is(value: Any) -> Any:
    return value


_SHOW: dict[str, Callable[[Any], Any]] = {
    "Felt": felt252.padded,
    "int": str,
    "int | None": str,
    "bool": _as_is,
    "str": text.storable,
}
"""How a field is shown, by its annotation; what stands not here is a struct."""


@functools.cache
def _shown_as(type_: type[Struct]) -> tuple[tuple[str, str, Callable[[Any], Any]], ...]:
    """(field, its name in the ABI, how its value is shown) of each field."""
    names = zip(type_.__struct_fields__, type_.__struct_encode_fields__, strict=True)
    return tuple(
        (field, shown, _SHOW.get(type_.__annotations__[field], to_args)) for field, shown in names
    )
