"""Candidates for all rows of one set at once: the product of two tiles of rows serves the rows of both."""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor

from imbalance_torch._threads import in_threads
from imbalance_torch.neighbors._expanded import right_factor, smallest
from imbalance_torch.neighbors._geometry import Geometry

_GROUP = 16  # rows per minimum
_TILE = 1024  # rows on each side of a product: many enough for its speed, few enough to read it again from the cache
_PART = 1024  # rows that are selected for together, fewer where
_NEAR_BYTES = 16 << 20  # of all threads do not hold the rows of their groups
CHECKED_ROWS = 2048  # rows that are ranked together
_PANEL = 8  # tiles between two selections


class MutualCandidates:
    """For each of N rows the ``count`` groups of 16 consecutive rows in which its ``count`` nearest others lie.

    Squared distances are computed for one of (i, j) and (j, i) only. Of a product the minima of groups are kept, along
    its rows for the one side and along its columns for the other, until the groups of smallest minimum are selected
    from a panel of tiles. O(N^2 d) time.
    """

    def __init__(self, geometry: Geometry, rows: Tensor, count: int, threads: int) -> None:
        tiles = math.ceil(len(rows) / _TILE)
        self._size = math.ceil(len(rows) / (tiles * 8 * _GROUP)) * 8 * _GROUP
        self._factor = torch.zeros(tiles * self._size, rows.shape[1] + 2, dtype=geometry.dtype)
        self._factor[:, -2:] = torch.tensor([math.inf, 1])  # rows that fill up the last tile are infinitely far
        for start in range(0, len(rows), self._size):
            part = rows[start : start + self._size]
            self._factor[start : start + len(part)] = right_factor(geometry.project(part))
        self._count = count
        self._part = max(1, min(_PART, _NEAR_BYTES // (threads * count * _GROUP * 4 * self._factor.shape[1])))
        self._minima = torch.full((len(self._factor), count), math.inf, dtype=geometry.dtype)
        self._groups = torch.zeros(len(self._factor), count, dtype=torch.int64)
        self._local = threading.local()
        panels = [range(first, min(first + _PANEL, tiles)) for first in range(0, tiles, _PANEL)]
        for number, panel in enumerate(panels):
            for other in panels[number:]:
                self._compare(panel, other)

    @staticmethod
    def bytes_needed(num_rows: int, num_columns: int, count: int, threads: int) -> int:
        """Return about how much memory the search takes."""
        panel, width = min(num_rows, _PANEL * _TILE), num_columns + 2
        near = max(_NEAR_BYTES // threads, 4 * count * _GROUP * width)
        ranked = 8 * CHECKED_ROWS * (4 * num_columns + 6 * count)
        per_thread = near + ranked + 4 * _TILE * (_TILE + 4 * width)
        return num_rows * (4 * width + 12 * count) + 8 * panel * panel // _GROUP + threads * per_thread

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the expanded squared distances of all other pairs are at least, and ``count`` candidates."""
        found = [self._candidates(part) for part in torch.split(rows, self._part)]
        bounds, candidates = zip(*found, strict=True)
        return torch.cat(bounds), torch.cat(candidates)

    def _candidates(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        groups = self._groups[rows]
        members = (groups.unsqueeze(2) * _GROUP + torch.arange(_GROUP)).flatten(1)
        near = self._memory("near", self._part * self._count, _GROUP * self._factor.shape[1])[: groups.numel()]
        torch.index_select(self._factor.view(-1, near.shape[1]), 0, groups.flatten(), out=near)
        near = near.view(len(rows), members.shape[1], -1)
        squared = torch.bmm(_left(self._factor[rows]).unsqueeze(1), near.transpose(1, 2)).squeeze(1)
        squared.masked_fill_(members == rows.unsqueeze(1), math.inf)
        values, columns = smallest(squared, self._count)
        return torch.minimum(values.amax(1), self._minima[rows].amax(1)), members.gather(1, columns)

    def _compare(self, panel: range, other: range) -> None:
        """Select among the groups of ``other`` for the rows of ``panel``, and the other way round."""
        size, per_tile = self._size, self._size // _GROUP
        minima = self._factor.new_empty(len(panel) * size, len(other) * per_tile)
        back = minima if panel is other else self._factor.new_empty(len(other) * size, len(panel) * per_tile)

        def product(pair: tuple[int, int]) -> None:
            row, column = panel.index(pair[0]), other.index(pair[1])
            self._product(
                *pair,
                minima[row * size : (row + 1) * size, column * per_tile : (column + 1) * per_tile],
                back[column * size : (column + 1) * size, row * per_tile : (row + 1) * per_tile],
            )

        in_threads(product, [(row, column) for row in panel for column in other if row <= column])
        self._select(panel, other, minima)
        if panel is not other:
            self._select(other, panel, back)

    def _product(self, first: int, second: int, minima: Tensor, back: Tensor) -> None:
        """Write the minima of groups of tile ``second`` for the rows of tile ``first``, and the other way round.

        Column s G + g of the product is row s of group g of ``second``, so that a minimum runs over whole vectors.
        """
        size, groups = self._size, self._size // _GROUP
        right = self._factor[second * size : (second + 1) * size].view(groups, _GROUP, -1).transpose(0, 1).flatten(0, 1)
        product = self._memory("product", size, size)
        torch.mm(_left(self._factor[first * size : (first + 1) * size]), right.T, out=product)
        if first == second:
            own = torch.arange(size)
            product[own, own % _GROUP * groups + own // _GROUP] = math.inf
        else:
            columns = product.view(groups, _GROUP, size).amin(1).view(groups, _GROUP, groups)
            back.view(groups, _GROUP, groups).copy_(columns.permute(2, 1, 0))
        torch.amin(product.view(size, _GROUP, groups), 1, out=minima)

    def _select(self, panel: range, other: range, minima: Tensor) -> None:
        """Keep the groups of smallest minimum, of those of ``other`` and those selected before."""
        own = slice(panel[0] * self._size, (panel[-1] + 1) * self._size)

        def merge(part: tuple[Tensor, Tensor, Tensor]) -> None:
            fresh, kept, kept_groups = part
            values, groups = smallest(fresh, min(self._count, fresh.shape[1]))
            groups += other[0] * (self._size // _GROUP)
            values, order = smallest(torch.cat((kept, values), 1), self._count)
            kept_groups.copy_(torch.cat((kept_groups, groups), 1).gather(1, order))
            kept.copy_(values)

        parts = (torch.split(rows, _PART) for rows in (minima, self._minima[own], self._groups[own]))
        in_threads(merge, [*zip(*parts, strict=True)])

    def _memory(self, name: str, *shape: int) -> Tensor:
        """Return memory that a thread keeps: allocating it anew costs as much as filling it."""
        if not hasattr(self._local, name):
            setattr(self._local, name, self._factor.new_empty(shape))
        kept: Tensor = getattr(self._local, name)
        return kept


def _left(right: Tensor) -> Tensor:
    """Return the factor [r, 1, |r|^2] of the rows whose factor [-2 r, |r|^2, 1] is given."""
    return torch.cat((right[:, :-2] * -0.5, right[:, [-1]], right[:, [-2]]), 1)
