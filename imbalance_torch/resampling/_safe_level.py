"""Safe-level SMOTE: synthetic rows lie nearer to the parent that its own class surrounds more densely."""

from __future__ import annotations

from typing import Any, Literal

import torch

from imbalance_torch._checks import check_int
from imbalance_torch._random import RandomState
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._graph import Graph, GraphBuilder
from imbalance_torch.resampling._over import Classes, OverSampler, warn_of_scales
from imbalance_torch.resampling._surroundings import strangers


class SafeLevelSMOTE(OverSampler):
    r"""SMOTE that draws a synthetic row nearer to that parent which has more rows of the class around it.

    .. math:: x_{new} = x_i + \lambda (x_j - x_i), \quad \lambda \sim
        \begin{cases} U[0, s_j / s_i) & s_i \ge s_j \\ U[1 - s_i / s_j, 1) & s_i < s_j \end{cases}

    with x_i a row of the class, x_j one of its ``k_neighbors`` nearest rows of the same class, and s the safe level:
    how many of the ``k_neighbors`` nearest of all rows are of the class. With :math:`s_j = 0 < s_i` the gap is 0 (a
    copy of x_i), with :math:`s_i = 0 < s_j` it is 1 (a copy of x_j); pairs with :math:`s_i = s_j = 0` are left out.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        k_neighbors: Nearest rows, of all classes for the safe level and of the same class to join with, >= 1, fewer
            than the rows of the class.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when no pair of a class has safe levels above 0 on both sides, or synthetic rows
            can only be copies: ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The pairs of rows that synthetic rows come from.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or a class that
            grows has ``k_neighbors`` rows or fewer.

    Notes:
        A class without a pair that can give more than copies warns and grows by plain SMOTE from all its rows, so that
        counts are exact. With more than two classes every other class counts as "other". Containers, dtypes, rounding
        and seeds are as in ``SMOTE``. Time O(n N d) for n rows of the classes that grow among N; memory: those rows,
        and two int64 and two float64 per pair.

    NOTE[DIFF]: Bunkhumpornpat et al. draw a gap per column, visit rows in turn, and add nothing where both safe levels
    are 0; here the gap is one number per synthetic row, pairs are uniform, and those without a safe level are never
    drawn. imbalanced-learn has no such method.

    References:
        Bunkhumpornpat, Sinapiromsaran, Lursinsap. Safe-Level-SMOTE: Safe-Level-Synthetic Minority Over-Sampling
        TEchnique for Handling the Class Imbalanced Problem. PAKDD 2009.

    Example:
        >>> X = torch.tensor([[0.0], [1.0], [2.0], [3.0], [3.5], [3.7], [4.0], [5.0], [5.5], [6.2]])
        >>> y = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
        >>> info = SafeLevelSMOTE({1: 9}, k_neighbors=2, random_state=0).fit(X, y).sample(100)
        >>> info.gap[info.base_index == 6].min()  # at 4.0 no neighbour is of class 1: copies of the safer parent
        tensor(1.)
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        k_neighbors: int = 5,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder = GraphBuilder(classes.table)
        for label in growing:
            rank, members = classes.ranks[label], classes.members[label]
            neighbors = self._neighbors_in_class(classes, label, self.k_neighbors)
            others = strangers(classes, label, self.k_neighbors, "k_neighbors", self.memory_budget)
            level = (self.k_neighbors - others).double()
            of_base, of_neighbor = level[:, None].expand_as(neighbors), level[neighbors]
            if (torch.minimum(of_base, of_neighbor) == 0).all():
                self._degenerate(
                    f"No row of class {label!r} and neighbour both have a row of the class among their "
                    f"{self.k_neighbors} nearest rows. Using plain SMOTE for it; try a larger `k_neighbors`."
                )
                builder.add(label, rank, members, neighbors)
                continue
            bases, columns = (torch.maximum(of_base, of_neighbor) > 0).nonzero(as_tuple=True)
            of_base, of_neighbor = level[bases, None], of_neighbor[bases, columns, None]
            width = torch.minimum(of_base, of_neighbor) / torch.maximum(of_base, of_neighbor)
            low = torch.where(of_base < of_neighbor, 1 - width, 0.0)
            builder.add(label, rank, members, neighbors[bases, columns, None], bases=bases, low=low, width=width)
        graph = builder.graph()
        warn_of_scales(graph.rows)
        return graph
