"""Typed events that every generation has. All values are Python ints, bools and text.

Names and fields are the ABI's, but for `from` and `to` of a transfer, which are Python's keywords
or too short to search for. u256 and i257 are plain ints, i257 signed. What is of one generation
stands in `v1.events` and `v2.events`.
"""

from __future__ import annotations

import msgspec

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
    """The contract was upgraded to another class."""

    new_implementation: Felt


class OwnershipTransferred(Struct, frozen=True, gc=False):
    """A new owner."""

    previous_owner: Felt
    new_owner: Felt


class OwnershipTransferStarted(Struct, frozen=True, gc=False):
    """A pending owner, who must accept."""

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
