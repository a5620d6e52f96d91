"""Selectors of names: Starknet's keccak, for events of ABIs that came after this release.

Keccak-256 with the original padding (0x01), which is not SHA3-256, after the Keccak team's
specification; a name's selector is its low 250 bits. Selectors that the package knows are
written out in `selectors`: this one takes about a millisecond.
"""

from __future__ import annotations

RATE = 136
"""Bytes that one permutation takes in: 1600 - 2 x 256 bits."""

WORD = (1 << 64) - 1
ROUNDS = 24


def of(name: str) -> int:
    """The selector of an event, a component or a view of this name."""
    return int.from_bytes(keccak_256(name.encode("ascii")), "big") & ((1 << 250) - 1)


def keccak_256(message: bytes) -> bytes:
    """The 32 bytes of Keccak-256."""
    padded = bytearray(message) + b"\x01" + bytes(-(len(message) + 1) % RATE)
    padded[-1] |= 0x80
    lanes = [0] * 25
    for start in range(0, len(padded), RATE):
        for index in range(RATE // 8):
            at = start + 8 * index
            lanes[index] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permuted(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permuted(lanes: list[int]) -> list[int]:
    """Keccak-f[1600]; the lane of column x and row y stands at x + 5y."""
    for constant in _CONSTANTS:
        columns = [
            lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]
            for x in range(5)
        ]
        mixed = [columns[x - 1] ^ _turned(columns[(x + 1) % 5], 1) for x in range(5)]
        moved = [0] * 25
        for index, lane in enumerate(lanes):
            x, y = index % 5, index // 5
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = _turned(lane ^ mixed[x], _OFFSETS[index])
        lanes = [
            moved[index]
            ^ (~moved[index // 5 * 5 + (index + 1) % 5] & moved[index // 5 * 5 + (index + 2) % 5])
            for index in range(25)
        ]
        lanes[0] ^= constant
    return lanes


def _turned(lane: int, bits: int) -> int:
    return ((lane << bits) | (lane >> (64 - bits))) & WORD


def _offsets() -> list[int]:
    """How far each lane turns: the triangular numbers along the path (x, y) → (y, 2x + 3y)."""
    offsets = [0] * 25
    x, y = 1, 0
    for step in range(1, ROUNDS + 1):
        offsets[x + 5 * y] = step * (step + 1) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return offsets


def _constants() -> list[int]:
    """The rounds' constants: bits of the shift register x^8 + x^6 + x^5 + x^4 + 1."""
    constants, register = [], 1
    for _ in range(ROUNDS):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171
        constants.append(constant)
    return constants


_OFFSETS = _offsets()
_CONSTANTS = _constants()
