"""Borderline-SMOTE: SMOTE from those rows of a class that lie where other classes prevail."""

from __future__ import annotations

from typing import Any, Literal

import torch

from imbalance_torch._checks import check_choice, check_int
from imbalance_torch._random import RandomState
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._graph import Graph, GraphBuilder
from imbalance_torch.resampling._over import Classes, OverSampler, warn_of_scales
from imbalance_torch.resampling._surroundings import nearest_of_all, strangers


class BorderlineSMOTE(OverSampler):
    r"""SMOTE whose base rows are those near the border of their class, where most neighbours are of other classes.

    .. math:: x_{new} = x_i + \lambda (x_j - x_i), \quad m / 2 \le m'_i < m

    with :math:`m'_i` the rows of other classes among the ``m_neighbors`` = m nearest of all rows to the base row x_i,
    which is then "in danger" (with :math:`m'_i = m` it is noise). In ``"borderline-1"``, x_j is one of the
    ``k_neighbors`` nearest rows of the same class and :math:`\lambda \sim U[0, 1)`. In ``"borderline-2"``, x_j is one
    of the ``k_neighbors`` nearest of all rows, and where it is of another class, :math:`\lambda \sim U[0, 0.5)`.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        k_neighbors: Neighbours that a row can be joined with, >= 1, fewer than the rows of the class
            (``"borderline-2"``: than all rows).
        m_neighbors: Nearest rows of all classes that decide whether a row is in danger, >= 1, fewer than all rows.
        kind: ``"borderline-1"`` or ``"borderline-2"``.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when no row of a class is in danger, or synthetic rows can only be copies:
            ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The pairs of rows that synthetic rows come from.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or there are too
            few rows for ``k_neighbors`` or ``m_neighbors``.

    Notes:
        A class without a row in danger warns and grows by plain SMOTE from all its rows, so that counts are exact.
        With more than two classes every other class counts as "other". Containers, dtypes, rounding and seeds are as
        in ``SMOTE``. Time O(n N d) for n rows of the classes that grow among N; memory: those rows (with
        ``"borderline-2"`` the rows in danger and their neighbours), and ``k_neighbors`` int64 per row in danger.

    NOTE[DIFF]: Han et al. draw an equal number of rows from each row in danger; here, as in imbalanced-learn, bases are
    drawn at random. For neighbours of other classes imbalanced-learn multiplies a number from [0, 1) with one from
    [0, 0.5), which keeps rows nearer to their base; here it is the one number from [0, 0.5) of the paper.
    imbalanced-learn adds nothing, and says nothing, when no row is in danger.

    References:
        Han, Wang, Mao. Borderline-SMOTE: A New Over-Sampling Method in Imbalanced Data Sets Learning. ICIC 2005.

    Example:
        >>> X = torch.tensor([[0.0], [1.0], [2.0], [3.0], [3.4], [4.0], [4.5], [4.9], [9.0]])
        >>> y = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1])
        >>> smote = BorderlineSMOTE({1: 7}, k_neighbors=1, m_neighbors=2, random_state=0)
        >>> smote.fit(X, y).sample(3).base_index  # the row at 4.0 alone has a neighbour of class 0
        tensor([5, 5, 5])
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        k_neighbors: int = 5,
        m_neighbors: int = 10,
        kind: str = "borderline-1",
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)
        self.m_neighbors = check_int("m_neighbors", m_neighbors, minimum=1)
        self.kind = check_choice("kind", kind, ("borderline-1", "borderline-2"))

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder = GraphBuilder(classes.table)
        for label in growing:
            rank, members = classes.ranks[label], classes.members[label]
            others = strangers(classes, label, self.m_neighbors, "m_neighbors", self.memory_budget)
            danger = ((2 * others >= self.m_neighbors) & (others < self.m_neighbors)).nonzero().flatten()
            if not len(danger):
                builder.add(label, rank, members, self._neighbors_in_class(classes, label, self.k_neighbors))
                self._degenerate(
                    f"No row of class {label!r} is in danger: of the {self.m_neighbors} nearest rows of each, fewer "
                    "than half or all are of other classes. Using plain SMOTE for it; try another `m_neighbors`."
                )
            elif self.kind == "borderline-1":
                neighbors = self._neighbors_in_class(classes, label, self.k_neighbors)[danger]
                builder.add(label, rank, members, neighbors, bases=danger)
            else:
                self._add_with_all(builder, classes, label, members[danger])
        graph = builder.graph()
        warn_of_scales(graph.rows)
        return graph

    def _add_with_all(self, builder: GraphBuilder, classes: Classes, label: Any, danger: torch.Tensor) -> None:
        """Add a class whose rows in ``danger`` are joined with neighbours of any class."""
        distances, near = nearest_of_all(classes, danger, self.k_neighbors, "k_neighbors", self.memory_budget)
        if not distances.any():
            self._degenerate(
                f"All rows of class {label!r} in danger equal their {self.k_neighbors} nearest neighbours, so "
                "synthetic rows are copies. Use random over-sampling, or drop duplicates."
            )
        parents, positions = torch.unique(torch.cat((danger[:, None], near), dim=1), return_inverse=True)
        stranger = (classes.codes[near] != classes.ranks[label]).double()
        builder.add(
            label,
            classes.ranks[label],
            parents,
            positions[:, 1:],
            bases=positions[:, 0],
            low=torch.zeros_like(stranger),
            width=1 - 0.5 * stranger,
        )
