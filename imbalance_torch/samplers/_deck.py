"""Decks of cards, one for each class, from which any run of cards can be dealt without dealing those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_int
from imbalance_torch._random import mix
from imbalance_torch.samplers._permutation import Array, random_bits, shuffled


class Decks(Sequence[Tensor]):
    """The rows of each class; as a deck, a class is its rows shuffled, shuffled again, and so on without end.

    Args:
        order: all rows, sorted by class; the only memory kept.
        counts: rows of each class, int64.
    """

    def __init__(self, order: Tensor, counts: Tensor) -> None:
        self.order, self.counts = order, counts

    def __len__(self) -> int:
        return len(self.counts)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        return torch.split(self.order, self.counts.tolist())[index]  # type: ignore[return-value]

    def deal(self, starts: Array, numbers: Array, seed: int) -> Array:
        """Deal ``numbers`` cards from place ``starts`` of each deck: rows, int64, class by class."""
        counts = self.counts.numpy()
        first, last = starts // counts, (starts + numbers - 1) // counts
        passes = np.where(numbers, last - first + 1, 0)
        owner = np.repeat(np.arange(len(counts)), passes)
        number = _count_up(first, passes)
        sizes = counts[owner]
        begin = np.maximum(starts[owner] - number * sizes, 0)
        lengths = np.minimum((starts + numbers)[owner] - number * sizes, sizes) - begin
        keys = random_bits(random_bits(np.array([mix(seed, 1)], dtype=np.uint64), owner), number)
        return self._rows_at(numbers, shuffled(_count_up(begin, lengths), sizes, keys, lengths))

    def draw(self, numbers: Array, key: int) -> Array:
        """Draw ``numbers`` rows of each class with replacement: rows, int64, class by class."""
        uniform = (random_bits(np.array([key], dtype=np.uint64), np.arange(numbers.sum())) >> np.uint64(11)) * 2.0**-53
        return self._rows_at(numbers, (uniform * np.repeat(self.counts.numpy(), numbers)).astype(np.int64))

    def _rows_at(self, numbers: Array, cards: Array) -> Array:
        counts = self.counts.numpy()
        cards += np.repeat(np.cumsum(counts) - counts, numbers)
        return self.order.numpy().take(cards).astype(np.int64)


def _count_up(starts: Array, lengths: Array) -> Array:
    """Return start, start + 1, ..., start + length - 1 for each pair."""
    numbers = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    numbers += np.arange(len(numbers))
    return numbers


def largest_remainder(shares: Tensor, total: int) -> Tensor:
    """Split ``total`` into whole numbers nearest to ``shares``; ties go to the earlier class.

    Example:
        >>> largest_remainder(torch.tensor([0.5, 0.3, 0.2]), 9)
        tensor([4, 3, 2])
    """
    exact = shares.double() / shares.double().sum() * total
    quotas = exact.floor().long()
    left = total - int(quotas.sum())
    quotas[(exact - quotas).argsort(descending=True, stable=True)[:left]] += 1
    return quotas


def quotas_for(shares: Tensor, classes: Sequence[Any], num_samples: int) -> Tensor:
    """Return the rows of each class in an epoch of ``num_samples`` rows, int64, at least one of each class."""
    quotas = largest_remainder(shares, check_int("num_samples", num_samples, minimum=1))
    if not quotas.all():
        starved = classes[int(quotas.argmin())]
        raise ValueError(f"`num_samples` is too small: class {starved!r} gets no row, got num_samples={num_samples}.")
    return quotas
