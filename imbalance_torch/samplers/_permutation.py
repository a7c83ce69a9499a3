"""Random orders of which any part can be had without drawing the rest, and the random bits behind them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imbalance_torch._random import generator_for, mix

Array: TypeAlias = "NDArray[Any]"

_DRAWN = 1 << 16
_MIDDLE = 9  # bits from which places are walked instead of sorted
_CARD = np.uint64((1 << _MIDDLE - 1) - 1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SCRAMBLE = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_SPREAD = {  # odd multipliers, one for each Feistel round
    np.uint32: (
        *(0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F),
        *(0x165667B1, 0xD3A2646D, 0x7FEB352D, 0x846CA68B),
    ),
    np.uint64: (
        *(0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93),
        *(0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB),
    ),
}


def random_bits(keys: Array, counters: Array) -> Array:
    """Return 64 random bits for each (key, counter), uint64: output ``counter`` of splitmix64 seeded with ``key``."""
    bits = np.atleast_1d(keys + (counters.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    for shift, multiplier in _SCRAMBLE:
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(multiplier)
    return bits


def shuffled(places: Array, sizes: Array, keys: Array, lengths: Array) -> Array:
    """Return where ``places`` go in random permutations of 0 .. size - 1, one permutation after another.

    Up to 256 places a permutation is drawn, by sorting random numbers. Beyond, a place is a point (l, r) of a grid of
    about sqrt(size) x sqrt(size), the second side a power of two, which goes through eight Feistel rounds (six beyond
    65,536 places), l += F_1(r), r ^= F_2(l), ..., with keyed hashes F; points beyond ``size`` go through again.

    Args:
        places: int64, in runs of ``lengths``, one run for each permutation.
        sizes: size of each permutation, int64.
        keys: selects each permutation, uint64.
        lengths: how many places are asked of each permutation, int64.

    References:
        Luby and Rackoff, "How to Construct Pseudorandom Permutations from Pseudorandom Functions", 1988.
        Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002.
    """
    moved = np.empty(len(places), dtype=np.int64)
    levels = np.minimum(np.frexp((sizes - 1).astype(np.float64))[1], _MIDDLE) + (sizes > _DRAWN)
    for level in np.flatnonzero(np.bincount(levels)).tolist():
        runs = np.flatnonzero(levels == level)
        if runs[-1] - runs[0] == len(runs) - 1:
            start = int(lengths[: runs[0]].sum())
            here: Any = slice(start, start + int(lengths[runs].sum()))
        else:
            here = np.flatnonzero(np.repeat(levels == level, lengths))
        chosen = places[here], sizes[runs], keys[runs], lengths[runs]
        moved[here] = _sort(*chosen, 1 << level) if level < _MIDDLE else _walk(*chosen, 8 if level == _MIDDLE else 6)
    return moved


def _sort(places: Array, sizes: Array, keys: Array, lengths: Array, width: int) -> Array:
    cards = np.arange(width, dtype=np.uint64)
    table = random_bits(keys[:, None], cards)
    table &= ~_CARD
    table |= cards
    if sizes.min() < width:
        np.putmask(table, cards >= sizes[:, None].astype(np.uint64), ~np.uint64(0))
    table.sort(axis=1)
    drawn: Array = table.ravel().take(np.repeat(np.arange(len(sizes)) * width, lengths) + places)
    return drawn & _CARD


def _walk(places: Array, sizes: Array, keys: Array, lengths: Array, rounds: int) -> Array:
    kind = np.uint32 if int(sizes.max()) <= 1 << 31 else np.uint64
    low = np.frexp((sizes - 1).astype(np.float64))[1] // 2
    parts = [sizes, low, -(-sizes >> low), keys & np.uint64(0xFFFFFFFF), keys >> np.uint64(32)]
    parts = [part.astype(kind) for part in parts]
    if len(sizes) > 1:
        parts = [np.repeat(part, lengths) for part in parts]
    size, *rest = parts
    moved = _feistel(places.astype(kind), rounds, *rest)
    while len(beyond := np.flatnonzero(moved >= size)):
        again = rest if len(sizes) == 1 else [part[beyond] for part in rest]
        moved[beyond] = _feistel(moved[beyond], rounds, *again)
    return moved


def _feistel(places: Array, rounds: int, low: Array, high: Array, first_key: Array, second_key: Array) -> Array:
    kind = places.dtype.type
    half = kind(places.itemsize * 4)
    shift, down = half - kind(1), half - low
    left, right = places >> low, places & ((kind(1) << low) - kind(1))
    hashed, shifted = np.empty_like(places), np.empty_like(places)
    for number, multiplier in enumerate(_SPREAD[kind][:rounds]):
        np.bitwise_xor(left if number % 2 else right, first_key, out=hashed)
        hashed *= kind(multiplier)
        hashed ^= np.right_shift(hashed, shift, out=shifted)
        hashed += second_key
        hashed *= hashed
        hashed >>= half
        if number % 2:
            hashed >>= down
            right ^= hashed
        else:
            hashed *= high
            hashed >>= half
            left += hashed
            np.minimum(left, np.subtract(left, high, out=shifted), out=left)
    left <<= low
    left |= right
    return left


class Permutation:
    """A pseudo-random permutation of 0 .. size - 1 with random access; up to 65,536 places it is drawn.

    Args:
        size: number of places.
        key: integers that select the permutation.

    Example:
        >>> order = Permutation(100_000, 0, 7)
        >>> order(torch.tensor([0, 1, 2])).tolist() == order(torch.arange(100_000))[:3].tolist()
        True
        >>> order(torch.arange(100_000)).unique().numel()
        100000
    """

    def __init__(self, size: int, *key: int) -> None:
        self.size = size
        self._key = mix(*key)
        self._drawn = torch.randperm(size, generator=generator_for(*key)) if size <= _DRAWN else None

    def __call__(self, places: Tensor) -> Tensor:
        """Return where ``places`` (int64, 1-D, 0 .. size - 1) go."""
        if self._drawn is not None:
            return self._drawn[places]
        size, key, length = np.array([self.size]), np.array([self._key], dtype=np.uint64), np.array([len(places)])
        return torch.from_numpy(shuffled(places.numpy(), size, key, length))
