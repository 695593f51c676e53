"""Randomness that stays the same for ever: counted draws, a permutation, and the split rule.

Everything is integer arithmetic over blake2b and splitmix64, so that a task is the same on every
machine, in every process and under every Python.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Words = NDArray[np.uint64]

SPLITS = ("train", "heldout")
HELD_OUT_ONE_IN = 4  # operand sets
FIXED_POINT = 10**6  # operands are compared to six decimals

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FEISTEL_ROUNDS = 4


@overload
def mix(word: int) -> int: ...
@overload
def mix(word: Words) -> Words: ...
def mix(word: Any) -> Any:
    """The finalizer of splitmix64 (Steele, Lea, Flood 2014) over one word or an array of them."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & _MASK
    return word ^ (word >> 31)


def key_of(*parts: object) -> int:
    """A 64-bit key from the text of its parts."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


class Draws:
    """An endless stream of draws that is a pure function of its key.

    Example: `Draws("train", 0, 42).between(1, 6)` is the same number everywhere, always.
    """

    __slots__ = ("_counter", "_key", "_words")

    def __init__(self, *key: object) -> None:
        self._key = "/".join(map(str, key)).encode()
        self._counter = 0
        self._words: list[int] = []

    def below(self, bound: int) -> int:
        """An integer in [0, bound); the bias is below bound / 2^64."""
        if not self._words:
            block = blake2b(self._key, salt=self._counter.to_bytes(16, "little")).digest()
            self._words = list(struct.unpack("<8Q", block))
            self._counter += 1
        return self._words.pop() * bound >> 64

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high], both ends included."""
        return low + self.below(high - low + 1)

    def choice(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]


def permute(index: int, size: int, key: int) -> int:
    """Send [0, size) onto itself one to one, in an order that depends on `key`.

    A balanced Feistel network over the next even number of bits; values that fall outside are sent
    through it again until they land inside (cycle walking: Black and Rogaway 2002).
    """
    assert 0 <= index < size
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low_bits = (1 << half) - 1
    while True:
        left, right = index >> half, index & low_bits
        for _ in range(_FEISTEL_ROUNDS):
            key = (key + _GOLDEN) & _MASK
            left, right = right, left ^ (mix(right ^ key) & low_bits)
        key = (key - _FEISTEL_ROUNDS * _GOLDEN) & _MASK
        index = left << half | right
        if index < size:
            return index


def split_of(operands: Iterable[float]) -> str:
    """The split that owns every question over these operands, whatever their order and operation.

    It depends on the numbers alone: not on the seed, the words, the level or the scene. So train
    and held-out questions never share their content.
    """
    word = 0
    for operand in sorted({round(operand * FIXED_POINT) for operand in operands}):
        word = mix((word + operand + _GOLDEN) & _MASK)
    return SPLITS[word % HELD_OUT_ONE_IN == 0]


def in_split(split: str, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where `split_of((low[i], high[i]))` is `split`, for integers low[i] < high[i]: [N]."""
    word = mix(low.astype(np.uint64) * FIXED_POINT + _GOLDEN)
    word = mix(word + high.astype(np.uint64) * FIXED_POINT + _GOLDEN)
    held_out: NDArray[np.bool_] = word % HELD_OUT_ONE_IN == 0
    return held_out if split == SPLITS[1] else ~held_out
