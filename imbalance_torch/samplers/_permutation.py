"""A random order of any number of places, of which any part can be had without drawing the rest."""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor

from imbalance_torch._random import generator_for

_ROUNDS = 6
_DRAWN = 1 << 16


class Permutation:
    """A pseudo-random permutation of 0 .. size - 1 with random access: O(sqrt(size)) memory.

    Up to 65,536 places it is drawn. Beyond, place p = (l, r) of a grid of about sqrt(size) x sqrt(size) goes through
    six Feistel rounds, l += F_1[r], r += F_2[l], ..., with random tables F; places that land beyond ``size`` go
    through again.

    Args:
        size: number of places.
        key: integers that select the permutation.

    References:
        Luby and Rackoff, "How to Construct Pseudorandom Permutations from Pseudorandom Functions", SIAM J. Comput. 1988.
        Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002.

    Example:
        >>> order = Permutation(100_000, 0, 7)
        >>> order(torch.tensor([0, 1, 2])).tolist() == order(torch.arange(100_000))[:3].tolist()
        True
        >>> order(torch.arange(100_000)).unique().numel()
        100000
    """

    def __init__(self, size: int, *key: int) -> None:
        generator = generator_for(*key)
        self.size = size
        self._drawn = torch.randperm(size, generator=generator) if size <= _DRAWN else None
        self._right = isqrt(max(size, 1) - 1) + 1
        self._left = -(-size // self._right)
        if self._drawn is None:
            sides = [(self._left, self._right), (self._right, self._left)] * (_ROUNDS // 2)
            self._tables = [torch.randint(add, (by,), generator=generator) for add, by in sides]

    def __call__(self, places: Tensor) -> Tensor:
        """Return where ``places`` (int64, any shape, 0 .. size - 1) go."""
        if self._drawn is not None:
            return self._drawn[places]
        moved = self._walk(places)
        while (beyond := moved >= self.size).any():
            moved[beyond] = self._walk(moved[beyond])
        return moved

    def _walk(self, places: Tensor) -> Tensor:
        left, right = places // self._right, places % self._right
        for number, table in enumerate(self._tables):
            if number % 2:
                right = (right + table[left]) % self._right
            else:
                left = (left + table[right]) % self._left
        return left * self._right + right
