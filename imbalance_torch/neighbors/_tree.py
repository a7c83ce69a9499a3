"""A k-d tree as the source of candidates: many times faster than tiles where rows have few dimensions."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from imbalance_torch._checks import require
from imbalance_torch.neighbors._geometry import Geometry

_SURE_COLUMNS = 6
_SURE_COLUMNS_OF_FEW, _FEW_ROWS = 10, 1000
_PROBED_COLUMNS = 15
_PROBE_ROWS, _PROBES = 128, 3
_MIN_ROWS = 64
_MIN_SHARED = 2048  # rows from which threads are worth their start


class Tree:
    """Candidates of rows from a k-d tree over ``reference``, in float64 search coordinates."""

    def __init__(self, reference: Tensor, geometry: Geometry) -> None:
        self._geometry = geometry
        self._tree = require("scipy.spatial", extra="train").KDTree(_project(geometry, reference))

    def candidates(self, query: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the distance of the farthest of ``count`` candidates of each row, and the candidates.

        Rows that are no candidate are at least that far, less the rounding of the coordinates, which is subtracted.
        """
        points = _project(self._geometry, query)
        distances, indices = self._tree.query(
            points, k=range(1, count + 1), workers=1 if len(points) < _MIN_SHARED else torch.get_num_threads()
        )
        farthest = torch.from_numpy(distances[:, -1].copy())
        eps, columns = torch.finfo(torch.float64).eps, query.shape[1]
        slack = eps * (64 * math.sqrt(columns) + (columns + 8) * farthest)
        return farthest - slack, torch.from_numpy(indices)


def choose_tree(
    query: Tensor, reference: Tensor, geometry: Geometry, budget: int | None, by_tiles: Callable[[Tensor], object]
) -> Tree | None:
    """Return a tree where it is the faster way, else None; which one is taken does not change the result.

    Up to 6 columns (10 for up to 1000 rows) a tree is. Up to 15 columns it depends on the data, and 128 rows are
    searched both ways; beyond that, below 64 rows, on an accelerator and without scipy it is not. A stated budget
    must hold the tree.
    """
    rows, columns = reference.shape
    small = len(query) < _MIN_ROWS or rows < _MIN_ROWS
    large = budget is not None and rows * (8 * columns + 64) > budget
    if (
        small
        or large
        or columns > _PROBED_COLUMNS
        or query.device.type != "cpu"
        or not importlib.util.find_spec("scipy")
    ):
        return None
    if columns <= (_SURE_COLUMNS_OF_FEW if rows <= _FEW_ROWS else _SURE_COLUMNS):
        return Tree(reference, geometry)
    if len(query) < 8 * _PROBE_ROWS or rows < 8 * _PROBE_ROWS:
        return None
    tree = Tree(reference, geometry)
    probe = torch.arange(0, len(query), len(query) // _PROBE_ROWS)[:_PROBE_ROWS]
    by_tiles(probe[:1])  # which prepares the reference rows
    ways = (lambda: tree.candidates(query[probe], 10)), (lambda: by_tiles(probe))
    by_tree, by_tile = (min(_seconds(way) for _ in range(_PROBES)) for way in ways)
    return tree if by_tree < by_tile else None


def _seconds(search: Callable[[], object]) -> float:
    start = perf_counter()
    search()
    return perf_counter() - start


def _project(geometry: Geometry, rows: Tensor) -> Any:
    return ((rows.double() - geometry.centre) * geometry.scale).numpy()
