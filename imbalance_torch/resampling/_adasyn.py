"""ADASYN: the more rows of other classes surround a row, the more synthetic rows start from it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from imbalance_torch._checks import check_int
from imbalance_torch._random import RandomState
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._graph import Graph, GraphBuilder
from imbalance_torch.resampling._over import Classes, OverSampler, warn_of_scales
from imbalance_torch.resampling._surroundings import strangers


class ADASYN(OverSampler):
    r"""Adaptive synthetic sampling: base rows get synthetic rows in proportion to the other classes around them.

    .. math:: x_{new} = x_i + \lambda (x_j - x_i), \quad g_i \propto r_i = \Delta_i / K, \quad \lambda \sim U[0, 1)

    with :math:`\Delta_i` the rows of other classes among the ``n_neighbors`` = K nearest of all rows to x_i,
    :math:`g_i` the rows that start from x_i, and x_j one of its ``n_neighbors`` nearest rows of the same class.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        n_neighbors: Nearest rows, of all classes for the weight and of the same class to join with, >= 1, fewer than
            the rows of the class.
        exact: Share out the requested rows by largest remainder, so that counts are exact. False rounds every
            :math:`g_i`, as the paper and imbalanced-learn do, and ``fit_resample`` may then add more or fewer rows.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when no row of a class has another class near it, or synthetic rows can only be
            copies: ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds; with ``exact=False`` those that rounding leaves.
        graph_: The pairs of rows that synthetic rows come from.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, a class that
            grows has ``n_neighbors`` rows or fewer, or ``exact=False`` rounds every :math:`g_i` to 0.

    Notes:
        A class whose rows have no other class near them warns and grows by plain SMOTE. ``sample(n)`` shares out any
        n by largest remainder, ties to the first row of the class, whatever ``exact`` says; with n below the rows of
        the class the seed decides which bases get one, in proportion to their weights. Rows are grouped by base. More
        than 262,144 rows of a class are shared out in parts of that size. Containers, dtypes, rounding and seeds are
        as in ``SMOTE``. Time O(n N d) for n rows of the classes that grow among N; memory: those rows and
        ``n_neighbors`` int64 for each.

    NOTE[DIFF]: He et al. stop when a class is balanced enough and count the majority only; here, as in
    imbalanced-learn, ``sampling_strategy`` decides and every other class counts. imbalanced-learn rounds and so
    misses the count, and raises when no other class is near.

    References:
        He, Bai, Garcia, Li. ADASYN: Adaptive Synthetic Sampling Approach for Imbalanced Learning. IJCNN 2008.

    Example:
        >>> X = torch.tensor([[0.0], [1.0], [2.0], [3.0], [3.4], [4.0], [4.5], [4.9], [9.0]])
        >>> y = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1])
        >>> adasyn = ADASYN({1: 8}, n_neighbors=3, random_state=0)
        >>> adasyn.fit(X, y).sample(4).base_index  # 4.0 has two neighbours of class 0 (3.4, 3.0), 4.5 and 4.9 one
        tensor([5, 5, 6, 7])
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        n_neighbors: int = 5,
        exact: bool = True,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.n_neighbors = check_int("n_neighbors", n_neighbors, minimum=1)
        if not isinstance(exact, bool):
            raise TypeError(f"`exact` must be True or False, got exact={exact!r}.")
        self.exact = exact

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder = GraphBuilder(classes.table)
        for label in growing:
            rank, members = classes.ranks[label], classes.members[label]
            neighbors = self._neighbors_in_class(classes, label, self.n_neighbors, "n_neighbors")
            others = strangers(classes, label, self.n_neighbors, "n_neighbors", self.memory_budget).cpu()
            if others.any():
                shares = others if self.exact else self._rounded(classes, label, others)
                ends = torch.arange(1, len(members) + 1, device="cpu")
                builder.add(label, rank, members, neighbors, ends=ends, shares=shares)
            else:
                self._degenerate(
                    f"No row of class {label!r} has a row of another class among its {self.n_neighbors} nearest "
                    "neighbours. Using plain SMOTE for it; try a larger `n_neighbors`."
                )
                builder.add(label, rank, members, neighbors)
        graph = builder.graph()
        warn_of_scales(graph.rows)
        return graph

    def _rounded(self, classes: Classes, label: Any, others: torch.Tensor) -> torch.Tensor:
        """Return each base's rows rounded on its own, halves to even, and make their sum the rows to add."""
        weight = others.numpy() / self.n_neighbors
        shares = np.rint(weight / weight.sum() * classes.added[label])
        if not shares.any():
            raise ValueError(
                f"`exact=False` rounds the share of every row of class {label!r} to 0 of the "
                f"{classes.added[label]} rows to add. Use exact=True or ask for more rows."
            )
        classes.added[label] = int(shares.sum())
        return torch.from_numpy(shares)
