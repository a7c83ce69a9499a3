"""Exact search in tiles: candidates by the expanded form, ranks by direct differences, a certificate per row."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from imbalance_torch._threads import in_threads
from imbalance_torch.neighbors._expanded import left_factor, mask_columns, right_factor, smallest
from imbalance_torch.neighbors._geometry import Geometry
from imbalance_torch.neighbors._mutual import CHECKED_ROWS, MutualCandidates
from imbalance_torch.neighbors._tree import Tree, choose_tree

_MARGIN = 3
_CPU_BUDGET = 128 << 20
_MUTUAL_ROWS = 8192
_SAMPLED, _CHANCE = 1024, 8  # rows looked at for copies, and copies that may be there by chance
_FEW_NEIGHBORS = 40  # with more, all copies of all neighbours cost more than they save
_TILED_PAIRS, _TREE_ROWS = 1 << 27, 2048  # the least work for a thread; with less, operations use all cores


class Search:
    """The nearest rows of ``reference`` for rows of ``query``; ``masked[i]`` is the row that query i leaves out."""

    def __init__(
        self, query: Tensor, reference: Tensor, masked: Tensor | None, geometry: Geometry, budget: int | None
    ) -> None:
        self._query, self._reference, self._masked, self._geometry = query, reference, masked, geometry
        self._available = len(reference) - (masked is not None)
        cpu = query.device.type == "cpu"
        stated = budget
        if budget is None:
            budget = _CPU_BUDGET if cpu else torch.cuda.mem_get_info(query.device)[0] // 4
        self._threads = torch.get_num_threads() if cpu else 1
        self._whole: dict[torch.dtype, Tensor] = {}
        self._local = threading.local()
        self._distinct = False  # whether the reference rows are known to differ
        self._budget, self._stated = budget // self._threads, stated

    def nearest(self, k: int) -> tuple[Tensor, Tensor]:
        """Return (Q, k) squared distances in float64, ascending with ties by row, and the rows.

        A row is done when no reference row outside its candidates can be as near as its k-th. The rest are searched
        again in float64, then among distinct rows if some are equal, then with eight times as many candidates, in the
        end with all of them. Where many rows are equal, distinct rows come first.
        """
        rows = torch.arange(len(self._query), device=self._query.device)
        result = (
            torch.empty(len(rows), k, dtype=torch.float64, device=rows.device),
            torch.empty(len(rows), k, dtype=torch.int64, device=rows.device),
        )
        look = k <= _FEW_NEIGHBORS and not self._distinct
        if look and self._repeats() and not len(self._among_distinct(rows, result)):
            return result
        count = min(k + _MARGIN, self._available)
        geometry = self._geometry
        tree = choose_tree(
            self._query, self._reference, geometry, self._stated, lambda part: self._pass(geometry, part, count, result)
        )
        if tree is not None:
            rows = self._shared_out(lambda part: self._by_tree(tree, part, k, result), rows, count, _TREE_ROWS)
        elif self._is_mutual(count):
            rows = self._by_mutual(geometry, rows, count, result)
            geometry = replace(geometry, dtype=torch.float64)  # another pass in float32 would settle nothing
        while len(rows):
            rows = self._pass(geometry, rows, count, result)
            if count == self._available:
                break
            if geometry.dtype == torch.float64:
                rows = self._among_distinct(rows, result)
                count = min(8 * count, self._available)
            geometry = replace(geometry, dtype=torch.float64)
        return result

    def _repeats(self) -> bool:
        """Return whether rows have, as a sample of the reference lets expect, a copy each on average."""
        sample = self._reference[:: max(1, len(self._reference) // _SAMPLED)].double() - self._geometry.centre
        weights = torch.arange(1, sample.shape[1] + 1, dtype=torch.float64, device=sample.device).sqrt()
        copies = len(sample) - len(torch.unique(sample @ weights))
        return copies > _CHANCE and 2 * copies * len(self._reference) > len(sample) ** 2

    def _among_distinct(self, rows: Tensor, result: tuple[Tensor, Tensor]) -> Tensor:
        """Finish ``rows`` by searching the distinct reference rows, where some are equal; return what is left.

        Ordered by their first member, the k + 1 nearest distinct rows hold the k nearest members and the row itself.
        """
        if self._distinct or not len(rows):
            return rows
        self._distinct = True
        distinct, group = torch.unique(self._reference, dim=0, return_inverse=True)
        if len(distinct) == len(self._reference):
            return rows
        k = result[0].shape[1]
        members, sizes = group.argsort(stable=True), group.bincount()
        starts = sizes.cumsum(0) - sizes
        by_first = members[starts].argsort()
        distinct, starts, sizes = distinct[by_first], starts[by_first], sizes[by_first]
        queries, asked = torch.unique(self._query[rows], dim=0, return_inverse=True)
        search = Search(queries, distinct, None, self._geometry, self._stated)
        search._distinct = True
        all_squared, all_found = search.nearest(min(k + 1, len(distinct)))
        step = torch.arange(min(k + 1, int(sizes.max())), device=rows.device)
        size = max(1, self._budget // (64 * (k + 1) ** 2))
        for part, query in zip(torch.split(rows, size), torch.split(asked, size), strict=True):
            squared, found = all_squared[query], all_found[query]
            places = starts[found].unsqueeze(2) + step
            candidates = members[places.clamp(max=len(members) - 1)].flatten(1)
            out = (step >= sizes[found].unsqueeze(2)).flatten(1)
            if self._masked is not None:
                out |= candidates == self._masked[part, None]
            spread = squared.unsqueeze(2).expand(-1, -1, len(step)).flatten(1).masked_fill(out, math.inf)
            candidates, order = candidates.sort(1)
            spread, best = spread.gather(1, order).sort(dim=1, stable=True)
            result[0][part], result[1][part] = spread[:, :k], candidates.gather(1, best[:, :k])
        return rows[:0]

    def _pass(self, geometry: Geometry, rows: Tensor, count: int, result: tuple[Tensor, Tensor]) -> Tensor:
        """Write the nearest of ``rows`` among ``count`` candidates each, and return the rows that are not certain."""
        width = self._width(geometry)
        if width == len(self._reference) and geometry.dtype not in self._whole:
            self._whole = {geometry.dtype: right_factor(geometry.project(self._reference)).T}
        whole = self._whole.get(geometry.dtype)

        def search(part: Tensor) -> Tensor:
            expanded, candidates = self._candidates(geometry, part, count, width, whole)
            return self._check(geometry, part, expanded.amax(1), candidates, result)

        return self._shared_out(search, rows, count, _TILED_PAIRS // len(self._reference))

    def _check(
        self, geometry: Geometry, part: Tensor, beyond: Tensor, candidates: Tensor, result: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Write the nearest of ``candidates``; return the rows for which one ``beyond`` can be nearer."""
        farthest = self._rank(part, candidates, result)
        return part[beyond <= geometry.reach(geometry.project(self._query[part]), farthest)]

    def _by_mutual(self, geometry: Geometry, rows: Tensor, count: int, result: tuple[Tensor, Tensor]) -> Tensor:
        """Do the same with candidates of all rows at once, in small parts: the budget holds the candidates as well."""
        self._whole, self._local = {}, threading.local()
        found = MutualCandidates(geometry, self._reference, count, self._threads)
        parts = torch.split(rows, CHECKED_ROWS)
        return torch.cat(in_threads(lambda part: self._check(geometry, part, *found.of(part), result), parts))

    def _is_mutual(self, count: int) -> bool:
        """Return whether rows are searched among themselves, are many, and the budget holds what that takes.

        Where no budget is stated, a copy of the reference does not count.
        """
        query, reference = self._query, self._reference
        copy = reference.numel() * reference.element_size()
        budget = _CPU_BUDGET + copy if self._stated is None else self._stated
        needed = MutualCandidates.bytes_needed(len(reference), reference.shape[1], count, self._threads)
        return (
            self._masked is not None
            and query.device.type == "cpu"
            and (query.data_ptr(), query.shape, query.stride())
            == (reference.data_ptr(), reference.shape, reference.stride())
            and query.is_neg() == reference.is_neg()
            and len(query) >= max(_MUTUAL_ROWS, 64 * count)
            and needed <= budget
        )

    def _by_tree(self, tree: Tree, part: Tensor, k: int, result: tuple[Tensor, Tensor]) -> Tensor:
        """Do the same with candidates of a tree: one more than asked for, to be certain, and the row itself."""
        beyond, candidates = tree.candidates(self._query[part], min(k + 2, len(self._reference)))
        return part[beyond <= self._rank(part, candidates, result).sqrt()]

    def _shared_out(self, search: Callable[[Tensor], Tensor], rows: Tensor, count: int, least: int) -> Tensor:
        """Search parts of ``rows`` in threads, and join what they return."""
        share = math.ceil(len(rows) / (4 * self._threads)) if self._threads > 1 else len(rows)
        limit = max(1, self._budget // (64 * max(count, self._query.shape[1])))
        size = min(limit, max(share, least, 1))
        if len(rows) > size:  # as many parts for each thread
            rounds = math.ceil(len(rows) / (size * self._threads))
            size = math.ceil(len(rows) / (rounds * self._threads))
        return torch.cat(in_threads(search, torch.split(rows, size)))

    def _width(self, geometry: Geometry) -> int:
        """Return the reference rows of a tile, all of them where the budget allows."""
        total, columns = self._reference.shape
        size = geometry.dtype.itemsize
        whole = self._budget * self._threads // (4 * size * (columns + 2))
        width = total if total <= whole else self._budget // (4 * size * (columns + 2))
        width = min(total, max(64, min(width, self._budget // (64 * size))))
        return math.ceil(total / math.ceil(total / width))

    def _candidates(
        self, geometry: Geometry, rows: Tensor, count: int, width: int, whole: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the ``count`` smallest expanded squared distances of each row and their columns."""
        values = torch.full((len(rows), count), math.inf, dtype=geometry.dtype, device=rows.device)
        indices = torch.zeros(len(rows), count, dtype=torch.int64, device=rows.device)
        for first, block, tile in self._tiles(geometry, rows, width, whole):
            found, columns = smallest(tile, min(count, tile.shape[1]))
            columns += first
            if first:
                found, order = torch.cat((values[block], found), 1).topk(count, largest=False, sorted=False)
                columns = torch.cat((indices[block], columns), 1).gather(1, order)
            values[block, : found.shape[1]], indices[block, : found.shape[1]] = found, columns
        return values, indices

    def _tile_memory(self, size: int, dtype: torch.dtype) -> Tensor:
        """Return memory for a tile, which a thread keeps: allocating it for every part costs as much as filling it."""
        kept: Tensor | None = getattr(self._local, "memory", None)
        if kept is None or kept.dtype != dtype or len(kept) < size:
            self._local.memory = kept = torch.empty(size, dtype=dtype, device=self._query.device)
        return kept

    def _tiles(
        self, geometry: Geometry, rows: Tensor, width: int, whole: Tensor | None
    ) -> Iterator[tuple[int, slice, Tensor]]:
        """Yield the first column, the block of ``rows`` and the expanded squared distances of each tile."""
        total, columns = self._reference.shape
        height = max(1, _tile_bytes(self._budget, columns, rows.device) // (geometry.dtype.itemsize * width))
        height = math.ceil(len(rows) / math.ceil(len(rows) / height))
        memory = self._tile_memory(height * width, geometry.dtype)
        for first in range(0, total, width):
            right = right_factor(geometry.project(self._reference[first : first + width])).T if whole is None else whole
            for start in range(0, len(rows), height):
                part = rows[start : start + height]
                left = left_factor(geometry.project(self._query[part]))
                tile = memory[: len(part) * right.shape[1]].view(len(part), -1)
                torch.mm(left, right, out=tile)
                if self._masked is not None:
                    mask_columns(tile, self._masked[part] - first)
                yield first, slice(start, start + height), tile

    def _rank(self, rows: Tensor, candidates: Tensor, result: tuple[Tensor, Tensor]) -> Tensor:
        """Order candidates by direct squared distance, ties by column; write the first, return the last of those."""
        candidates = candidates.sort(1).values
        squared = torch.empty(candidates.shape, dtype=torch.float64, device=rows.device)
        numbers = 1 << 17 if rows.device.type == "cpu" else self._budget // 64
        pairs = max(1, min(numbers, self._budget // 64) // self._query.shape[1])
        width = min(pairs, candidates.shape[1])
        height = pairs // width
        for start in range(0, len(rows), height):
            query = self._query[rows[start : start + height]]
            for first in range(0, candidates.shape[1], width):
                block = slice(start, start + height), slice(first, first + width)
                squared[block] = self._geometry.squared_distances(query, self._reference[candidates[block]])
        if self._masked is not None:
            squared.masked_fill_(candidates == self._masked[rows, None], math.inf)
        squared, order = squared.sort(dim=1, stable=True)
        k = result[0].shape[1]
        result[0][rows], result[1][rows] = squared[:, :k], candidates.gather(1, order[:, :k])
        return squared[:, k - 1]


def _tile_bytes(budget: int, columns: int, device: torch.device) -> int:
    """Return the size of a tile: on CPU near the cache, larger where more columns make the product worth it."""
    if device.type != "cpu":
        return budget // 4
    return min(budget // 2, (8 << 20) * (1 if columns < 64 else 2 if columns < 200 else 4))
