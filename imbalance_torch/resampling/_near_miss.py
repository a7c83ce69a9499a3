"""NearMiss: the rows of the larger classes that lie nearest to the minority."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, warn
from imbalance_torch.neighbors._knn import nearest
from imbalance_torch.plan import SamplingStrategy, resolve_under_sampling
from imbalance_torch.resampling._over import Classes, warn_of_scales
from imbalance_torch.resampling._under import UnderSampler


class NearMiss(UnderSampler):
    r"""Under-sampling that keeps the rows of a class by their distance to rows of the minority.

    .. math:: D(x) = \sum_{z \in Z(x)} \lVert x - z \rVert

    with Z(x) ``n_neighbors`` rows of the smallest class. ``version``

    - 1 keeps the rows with the smallest D to their *nearest* minority rows;
    - 2 keeps the rows with the smallest D to their *farthest* minority rows;
    - 3 first takes, for each minority row, its ``n_neighbors_ver3`` nearest rows of the class, and of those keeps the
      rows with the largest D to their nearest minority rows.

    Args:
        sampling_strategy: Which classes shrink and to what count; see ``RandomUnderSampler``.
        version: 1, 2 or 3.
        n_neighbors: Minority rows that D is summed over, >= 1, at most the rows of the minority.
        n_neighbors_ver3: Rows of the class that each minority row takes in version 3, >= 1, at most the rows of the
            class.
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.

    Attributes:
        class_counts_: Label to rows in the given ``y``.
        sampling_strategy_: Label to rows that stay, of the classes that shrink.
        sample_indices_: Rows of the given ``X`` that stay, in the order of the result.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or a class has
            fewer rows than neighbours are asked for.

    Warns:
        UserWarning: If version 3 takes fewer rows than shall stay; all it took stay then. If column widths differ by
            more than 1000.

    Notes:
        Rows are grouped by sorted class, those of a class that shrinks by D (equal D by row), the others in their own
        order. Containers are as in ``RandomUnderSampler``. Of equally small classes the first in sorted order is the
        minority. A row of the minority, where it shrinks too, counts itself as a minority row at distance 0. D is
        summed in float64 of the distances that ``knn`` gives (float32 for float32 and halves; version 2 float64).
        Time O(N n d) for n rows of the minority, never an N x n matrix; version 2 searches the farthest rows as the
        nearest ones in one more column, in float64 copies of the rows. Deterministic.

    NOTE[DIFF]: The paper averages D, which gives the same order. Of equally small classes imbalanced-learn takes the
    one that ``y`` names first, and its version 2 takes fewer neighbours without a word where the minority is smaller
    than ``n_neighbors``.

    References:
        Mani, Zhang. kNN approach to unbalanced data distributions: a case study involving information extraction.
        ICML 2003 workshop on learning from imbalanced datasets.

    Example:
        >>> X, y = torch.tensor([[0.0], [1.0], [2.0], [3.0], [8.0], [9.0]]), torch.tensor([0, 0, 0, 0, 1, 1])
        >>> NearMiss(n_neighbors=1).fit_resample(X, y)[0].flatten().tolist()
        [3.0, 2.0, 8.0, 9.0]
    """

    _resolve = staticmethod(resolve_under_sampling)

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        version: int = 1,
        n_neighbors: int = 3,
        n_neighbors_ver3: int = 3,
        memory_budget: int | Literal["auto"] = "auto",
    ) -> None:
        super().__init__(sampling_strategy)
        if check_int("version", version) not in (1, 2, 3):
            raise ValueError(f"`version` must be 1, 2 or 3, got version={version!r}.")
        self.version = version
        self.n_neighbors = check_int("n_neighbors", n_neighbors, minimum=1)
        self.n_neighbors_ver3 = check_int("n_neighbors_ver3", n_neighbors_ver3, minimum=1)
        self.memory_budget = memory_budget

    def _kept(self, classes: Classes, strategy: dict[Any, int]) -> Tensor:
        warn_of_scales(classes.table)
        minority = min(classes.counts, key=classes.counts.__getitem__)
        _check_enough("n_neighbors", self.n_neighbors, classes, minority)
        return torch.cat(
            [
                self._chosen(classes, minority, label, strategy[label]) if label in strategy else members
                for label, members in classes.members.items()
            ]
        )

    def _chosen(self, classes: Classes, minority: Any, label: Any, number: int) -> Tensor:
        """Return the ``number`` rows of a class that stay."""
        members: Tensor = classes.members[label]
        rows, few = classes.rows(label), classes.rows(minority)
        if self.version == 3:
            _check_enough("n_neighbors_ver3", self.n_neighbors_ver3, classes, label)
            taken = nearest(few, rows, self.n_neighbors_ver3, memory_budget=self.memory_budget).indices
            short = torch.bincount(taken.flatten()).nonzero().flatten()
            members, rows = members[short], rows[short]
            if len(short) < number:
                warn(
                    f"NearMiss-3 takes {len(short)} rows of class {label!r}, fewer than the {number} that shall stay; "
                    "all of them stay. Raise `n_neighbors_ver3`."
                )
        if self.version == 2:
            total = _to_farthest(rows, few, self.n_neighbors, self.memory_budget)
        else:
            distances = nearest(rows, few, self.n_neighbors, memory_budget=self.memory_budget).distances
            total = distances.sum(1, dtype=torch.float64)
        return members[total.argsort(stable=True, descending=self.version == 3)[:number]]


def _check_enough(name: str, k: int, classes: Classes, label: Any) -> None:
    size = classes.counts[label]
    if size < k:
        raise ValueError(
            f"`{name}` must be at most the rows of the class it is counted in, got {name}={k} and {size} "
            f"row{'s' * (size > 1)} of class {label!r}. Use {name}={size}."
        )


def _to_farthest(query: Tensor, reference: Tensor, k: int, memory_budget: int | Literal["auto"]) -> Tensor:
    r"""Return the summed distances of each row of ``query`` to the ``k`` farthest rows of ``reference``.

    The farthest r of q is the nearest (r, s_r) of (-q, 0) with s_r^2 = 2 (max |r|^2 - |r|^2):
    |(-q, 0) - (r, s_r)|^2 = 2 |q|^2 + 2 max |r|^2 - |q - r|^2.
    """
    origin = reference[0].double()
    query, reference = query.double() - origin, reference.double() - origin
    unit = torch.maximum(query.abs().max(), reference.abs().max())
    unit = torch.where(unit > 0, unit, 1)
    query, reference = query / unit, reference / unit
    squares = reference.square().sum(1, keepdim=True)
    lifted = torch.cat((reference, (2 * (squares.max() - squares)).sqrt()), dim=1)
    mirrored = torch.cat((-query, query.new_zeros(len(query), 1)), dim=1)
    farthest = nearest(mirrored, lifted, k, memory_budget=memory_budget).indices
    distances = torch.stack([(query - reference[column]).norm(dim=1) for column in farthest.T])
    return distances.sum(0) * unit
