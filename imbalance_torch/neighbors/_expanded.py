"""The expanded form |q|^2 + |r|^2 - 2 q.r of squared distances: its factors, and the smallest of its values."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

_PARTITIONED_COLUMNS = 256


def left_factor(query: Tensor) -> Tensor:
    """Return the (Q, d + 2) factor [q, 1, |q|^2] of the expanded squared distances."""
    norm = query.square().sum(1, keepdim=True)
    return torch.cat((query, torch.ones_like(norm), norm), 1)


def right_factor(reference: Tensor) -> Tensor:
    """Return the (R, d + 2) factor [-2 r, |r|^2, 1] of the expanded squared distances; ``reference`` is used up."""
    norm = reference.square().sum(1, keepdim=True)
    return torch.cat((reference.mul_(-2), norm, torch.ones_like(norm)), 1)


def mask_columns(tile: Tensor, columns: Tensor) -> None:
    """Set one column per row to infinity, where it lies inside the tile."""
    inside = (columns >= 0) & (columns < tile.shape[1])
    columns = columns.clamp(0, tile.shape[1] - 1).unsqueeze(1)
    tile.scatter_(1, columns, torch.where(inside.unsqueeze(1), math.inf, tile.gather(1, columns)))


def smallest(tile: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` smallest entries of each row and their columns.

    In two stages where rows are wide: the ``count`` smallest lie in the ``count`` groups of smallest minimum (and in
    the columns that fill no group), and a minimum is several times cheaper than a selection.
    """
    width = tile.shape[1]
    size = _group_size(width, count)
    if size < 2:
        columns = _smallest_columns(tile, count)
        return tile.gather(1, columns), columns
    groups = width // size
    grouped = tile[:, : size * groups].view(-1, size, groups)
    chosen = _smallest_columns(grouped.amin(1), count).unsqueeze(1)
    kept = torch.cat((grouped.gather(2, chosen.expand(-1, size, -1)).flatten(1), tile[:, size * groups :]), 1)
    order = _smallest_columns(kept, count)
    inside = order < size * count
    origin = order // count * groups + chosen.squeeze(1).gather(1, torch.where(inside, order % count, 0))
    return kept.gather(1, order), torch.where(inside, origin, order - size * count + size * groups)


def _group_size(width: int, count: int) -> int:
    """Return the columns per minimum, as measured on CPU: multiples of 4 are the fast ones.

    With few minima NumPy selects; beyond, torch selects ``count`` faster from 64 ``count`` or more.
    """
    size = min(12, math.isqrt(width // count))
    if width > 12 * _PARTITIONED_COLUMNS:
        size = min(24, max(size if width < 192 * count else 0, width // (64 * count)))
    return size if size < 4 else size // 4 * 4


def _smallest_columns(values: Tensor, count: int) -> Tensor:
    """Return the columns of the ``count`` smallest entries of each row; where rows are narrow NumPy is faster."""
    if values.device.type == "cpu" and count < values.shape[1] <= _PARTITIONED_COLUMNS:
        return torch.from_numpy(np.argpartition(values.numpy(), count - 1, axis=1)[:, :count])
    return values.topk(count, largest=False, sorted=False).indices
