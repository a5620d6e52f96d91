"""Hashes that the tests' processes share are those of the library, each computed once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poseidon_py import c_bindings, poseidon_hash

from tests import hashes


def sponge(felts: Sequence[int]) -> int:
    """Poseidon of many felts, by the library's permutation alone."""
    values = [*felts, 1]
    values += [0] * (len(values) % 2)
    state = [0, 0, 0]
    for first, second in zip(values[::2], values[1::2], strict=True):
        state = list(c_bindings.hades_permutation([state[0] + first, state[1] + second, state[2]]))
    return int(state[0])


def never(_: Sequence[int]) -> int:
    raise AssertionError("it was computed before")


def test_another_process_hears_what_was_computed(tmp_path: Path) -> None:
    one, other = (hashes.Shared(tmp_path / "hashes") for _ in range(2))
    asked = ((1, 2, 3), (1, 2), (0x12, 3), ())
    told = [one.answer("many", felts, sponge) for felts in asked]
    assert len(set(told)) == len(asked)
    assert [other.answer("many", felts, never) for felts in asked] == told
    assert other.answer("pair", (1, 2), lambda _: 7) == 7, "another function"
    assert one.answer("many", (1, 2), never) == told[1]
    late = hashes.Shared(tmp_path / "hashes")
    late.take_up()
    assert late.answer("pair", (1, 2), never) == 7


def test_the_half_that_a_killed_process_wrote_is_nobodys_answer(tmp_path: Path) -> None:
    file = tmp_path / "hashes"
    hashes.Shared(file).answer("many", (1, 2), sponge)
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: hashes.SIZE])
    after = hashes.Shared(file)
    assert after.answer("many", (1, 2), never) == sponge((1, 2))
    assert after.answer("many", (3,), sponge) == sponge((3,))
    assert hashes.Shared(file).answer("many", (3,), sponge) == sponge((3,))


def test_what_the_tests_hash_with_is_the_library() -> None:
    for felts in ((), (1,), (2**251, 5), (1, 2, 3, 4, 5)):
        assert poseidon_hash.poseidon_hash_many(list(felts)) == sponge(felts)
    permuted = c_bindings.hades_permutation([7, 8, 2])
    assert poseidon_hash.poseidon_hash(7, 8) == permuted[0]
