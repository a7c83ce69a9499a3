"""Which rows an epoch feeds and in which order: decks of cards, one per class, dealt into evenly mixed batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from imbalance_torch._random import generator_for


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


def deal(rows: Tensor, start: int, num_rows: int, *, key: Sequence[int], generator: torch.Generator) -> Tensor:
    """Deal ``num_rows`` cards from place ``start`` of an endless deck: ``rows`` shuffled, shuffled again, and so on.

    The first and the last shuffle touch the neighbouring epochs, so they depend on ``key`` alone; those in between
    belong to this epoch and come from ``generator``.
    """
    size = len(rows)
    first, last = start // size, (start + num_rows - 1) // size
    shuffles = [torch.randperm(size, generator=generator_for(*key, first))]
    if last > first:
        between = torch.rand(last - first - 1, size, dtype=torch.float64, generator=generator).argsort(1)
        shuffles += [between.flatten(), torch.randperm(size, generator=generator_for(*key, last))]
    skipped = start - first * size
    return rows[torch.cat(shuffles)[skipped : skipped + num_rows]].long()


def mix_classes(quotas: Tensor, batch_size: int | None, generator: torch.Generator) -> Tensor:
    """Return the class of every row of an epoch: ``quotas`` in random order, the same in each batch up to rounding.

    The K full batches are the columns of the class-sorted epoch written row by row into a matrix of K columns: each
    column then holds floor or ceil of (class rows / K). The rows of the shorter last batch are taken out before, at
    even distances.
    """
    classes = torch.arange(len(quotas), dtype=torch.int32).repeat_interleave(quotas)
    total = len(classes)
    if batch_size is None:
        return classes[torch.randperm(total, generator=generator)]
    batches, tail = divmod(total, batch_size)
    in_tail = torch.zeros(total, dtype=torch.bool)
    in_tail[(2 * torch.arange(tail) + 1) * total // (2 * max(tail, 1))] = True
    full = classes[~in_tail].view(batch_size, batches).t()[torch.randperm(batches, generator=generator)]
    within = torch.rand(batches, batch_size, dtype=torch.float64, generator=generator).argsort(1)
    return torch.cat([full.gather(1, within).flatten(), classes[in_tail][torch.randperm(tail, generator=generator)]])


def mix_draws(draws: Sequence[Tensor], batch_size: int | None, generator: torch.Generator) -> Tensor:
    """Merge the rows that each class feeds into one stream; the order within a class is kept."""
    quotas = torch.tensor([len(rows) for rows in draws])
    stream = torch.empty(int(quotas.sum()), dtype=torch.int64)
    stream[mix_classes(quotas, batch_size, generator).argsort(stable=True)] = torch.cat(list(draws))
    return stream


def deal_epoch(rows: Sequence[Tensor], quotas: Tensor, batch_size: int | None, *, seed: int, epoch: int) -> Tensor:
    """Return the rows of one epoch: each class goes on dealing its deck where the epoch before stopped."""
    generator = generator_for(seed, epoch)
    draws = [
        deal(members, epoch * quota, quota, key=(seed, index), generator=generator)
        for index, (members, quota) in enumerate(zip(rows, quotas.tolist(), strict=True))
    ]
    return mix_draws(draws, batch_size, generator)
