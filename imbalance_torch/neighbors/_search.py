"""Exact search in tiles: candidates by the expanded form, ranks by direct differences, a certificate per row."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from imbalance_torch.neighbors._geometry import Geometry

_MARGIN = 4
_CPU_BUDGET = 128 << 20  # a sixteenth of it, one tile of distances, stays near the last-level cache


class Search:
    """The nearest rows of ``reference`` for rows of ``query``; ``masked[i]`` is the row that query i leaves out."""

    def __init__(
        self, query: Tensor, reference: Tensor, masked: Tensor | None, geometry: Geometry, budget: int | None
    ) -> None:
        self._query, self._reference, self._masked, self._geometry = query, reference, masked, geometry
        self._available = len(reference) - (masked is not None)
        if budget is None:
            budget = _CPU_BUDGET if query.device.type == "cpu" else torch.cuda.mem_get_info(query.device)[0] // 4
        self._budget = budget

    def nearest(self, k: int) -> tuple[Tensor, Tensor]:
        """Return (Q, k) squared distances in float64, ascending with ties by row, and the rows.

        A row is done when no reference row outside its candidates can be as near as its k-th; the rest are searched
        again with eight times as many candidates, in the end with all of them.
        """
        rows = torch.arange(len(self._query), device=self._query.device)
        squared = torch.empty(len(rows), k, dtype=torch.float64, device=rows.device)
        indices = torch.empty(len(rows), k, dtype=torch.int64, device=rows.device)
        count = min(k + _MARGIN, self._available)
        while True:
            doubtful = []
            for part in torch.split(rows, max(1, self._budget // (64 * max(count, self._query.shape[1])))):
                expanded, candidates = self._candidates(part, count)
                squared[part], indices[part] = self._ranked(part, candidates, k)
                query = self._geometry.project(self._query[part])
                doubtful.append(part[expanded[:, -1] <= self._geometry.reach(query, squared[part, -1])])
            rows = torch.cat(doubtful)
            if count == self._available or not len(rows):
                return squared, indices
            count = min(8 * count, self._available)

    def _candidates(self, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the ``count`` smallest expanded squared distances of each row, ascending, and their columns."""
        values = torch.full((len(rows), count), math.inf, dtype=self._geometry.dtype, device=rows.device)
        indices = torch.zeros(len(rows), count, dtype=torch.int64, device=rows.device)
        for first, block, tile in self._tiles(rows):
            found, columns = _smallest(tile, min(count, tile.shape[1]))
            columns += first
            if first:
                found, order = torch.cat((values[block], found), 1).topk(count, largest=False)
                columns = torch.cat((indices[block], columns), 1).gather(1, order)
            values[block, : found.shape[1]], indices[block, : found.shape[1]] = found, columns
        return values, indices

    def _tiles(self, rows: Tensor) -> Iterator[tuple[int, slice, Tensor]]:
        """Yield the first column, the block of ``rows`` and the expanded squared distances of each tile."""
        total, columns = self._reference.shape
        width = min(32768, max(64, self._budget // (64 * columns)))
        width = math.ceil(total / math.ceil(total / width))
        height = max(1, self._budget // (64 * width))
        for first in range(0, total, width):
            reference = self._geometry.project(self._reference[first : first + width])
            norm = reference.square().sum(1, keepdim=True)
            right = torch.cat((reference.mul_(-2), norm, torch.ones_like(norm)), 1).T
            for start in range(0, len(rows), height):
                part = rows[start : start + height]
                query = self._geometry.project(self._query[part])
                norm = query.square().sum(1, keepdim=True)
                tile = torch.cat((query, torch.ones_like(norm), norm), 1) @ right
                if self._masked is not None:
                    _mask(tile, self._masked[part] - first)
                yield first, slice(start, start + height), tile

    def _ranked(self, rows: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Order the candidates of each row by direct squared distance, ties by column, and keep ``k``."""
        candidates = candidates.sort(1).values
        squared = torch.empty(candidates.shape, dtype=torch.float64, device=rows.device)
        pairs = max(1, self._budget // (64 * self._query.shape[1]))
        width = min(pairs, candidates.shape[1])
        height = pairs // width
        for start in range(0, len(rows), height):
            query = self._query[rows[start : start + height]]
            for first in range(0, candidates.shape[1], width):
                block = slice(start, start + height), slice(first, first + width)
                squared[block] = self._geometry.squared_distances(query, self._reference[candidates[block]])
        squared, order = squared.sort(dim=1, stable=True)
        return squared[:, :k], candidates.gather(1, order[:, :k])


def _mask(tile: Tensor, columns: Tensor) -> None:
    """Set one column per row to infinity, where it lies inside the tile."""
    inside = (columns >= 0) & (columns < tile.shape[1])
    columns = columns.clamp(0, tile.shape[1] - 1).unsqueeze(1)
    tile.scatter_(1, columns, torch.where(inside.unsqueeze(1), math.inf, tile.gather(1, columns)))


def _smallest(tile: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` smallest entries of each row and their columns.

    In two stages where rows are wide: the ``count`` smallest lie in the ``count`` groups of smallest minimum (and in
    the columns that fill no group), and a minimum is several times cheaper than a selection.
    """
    width = tile.shape[1]
    size = math.isqrt(width // count)
    if size < 8:
        values, columns = tile.topk(count, largest=False)
        return values, columns
    groups = width // size
    grouped = tile[:, : size * groups].view(-1, size, groups)
    chosen = grouped.amin(1).topk(count, largest=False, sorted=False).indices.unsqueeze(1)
    columns = torch.arange(width, device=tile.device)
    kept = torch.cat((grouped.gather(2, chosen.expand(-1, size, -1)).flatten(1), tile[:, size * groups :]), 1)
    origin = (chosen + groups * columns[:size, None]).flatten(1)
    origin = torch.cat((origin, columns[size * groups :].expand(len(tile), -1)), 1)
    values, order = kept.topk(count, largest=False)
    return values, origin.gather(1, order)
