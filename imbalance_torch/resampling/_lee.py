"""SMOTE with rejection: a synthetic row stays only where its own class is not outnumbered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, Self

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_number
from imbalance_torch._random import RandomState
from imbalance_torch.neighbors._knn import nearest
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._graph import Graph, GraphBuilder, Plan
from imbalance_torch.resampling._over import Classes, OverSampler, warn_of_scales

_LEAST = 20  # candidates per round, so that the last rows do not take a search each
_POOR = 0.05  # share of accepted candidates below which a round counts as poor
_PATIENCE = 5  # poor rounds after which the level is raised
_RAISE = 0.1


class LeeSMOTE(OverSampler):
    r"""SMOTE that rejects a candidate when too many of the rows around it are of other classes.

    .. math:: x_{new} = x_i + \lambda (x_j - x_i), \quad \lambda \sim U[0, 1), \quad o(x_{new}) / k < \rho

    with x_i a row of the class (``base_index``), x_j one of its ``k_neighbors`` = k nearest rows of the same class
    (``neighbor_index``), both uniform, :math:`\lambda` the ``gap``, o(x) the rows of other classes among the k rows of
    ``X`` nearest to x, and :math:`\rho` = ``rejection_level``.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        k_neighbors: Neighbours that a row can be joined with, and rows around a candidate that are counted, >= 1, fewer
            than the rows of the class.
        rejection_level: Share of rows of other classes from which on a candidate is rejected, > 0; above 1 none is,
            which is plain SMOTE.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when so few candidates of a class are accepted that the rest is drawn by plain
            SMOTE, or when synthetic rows are copies: ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The neighbour graph of the classes that grow.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or a class that
            grows has ``k_neighbors`` rows or fewer.

    Notes:
        Candidates are drawn in rounds, as many as rows are missing and 20 at least. After 5 rounds in which fewer than
        one in 20 was accepted, the level is raised by 0.1 for the rest of the draw, without a word; once it is above 1,
        a warning says that the rest are plain SMOTE rows. So counts are exact and rounds bounded: for G rows of a class
        at most 5 poor ones per level and about 20 log G others. With more than two classes every other class counts as
        "other". Containers, dtypes, rounding and seeds are as in ``SMOTE``. Time O(n^2 d) for ``fit`` and O(N d) for
        each candidate, also in ``sample`` and in every batch, each with a synchronisation on CUDA; memory: unlike other
        over-samplers it keeps a copy of all N rows.

    NOTE[DIFF]: Raising the level, so that counts can be met, is how smote-variants reads Lee et al.: by 0.1 after more
    than 5 rounds without a single accepted row, and without an end. Here a round with very few rows counts as well, and
    the end is told. imbalanced-learn has no such method.

    References:
        Lee, Kim, Lee. An Over-Sampling Technique with Rejection for Imbalanced Class Learning. IMCOM 2015.

    Example:
        >>> X = torch.tensor([[0.0], [1.0], [2.0], [6.0], [6.5], [7.0], [8.0], [9.0], [9.5]])
        >>> y = torch.tensor([1, 1, 1, 0, 0, 0, 1, 1, 1])
        >>> new = LeeSMOTE({1: 206}, k_neighbors=3, random_state=0).fit(X, y).sample(200).X
        >>> ((new > 4.5) & (new < 7.5)).any()  # among the rows of class 0 nothing is kept
        tensor(False)
    """

    _table: Tensor
    _codes: Tensor

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        k_neighbors: int = 5,
        rejection_level: float = 0.5,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)
        self.rejection_level = check_number("rejection_level", rejection_level, exclusive_minimum=0)

    def draw(self, counts: Mapping[Any, int], generator: torch.Generator | None = None) -> Plan:
        """Draw candidates of each class until ``counts[label]`` of them are accepted."""
        stream = cache(self.stream(generator))
        plans = [self.graph_.draw({}, stream)]
        for label, number in counts.items():
            plans += self._accepted(label, number, stream)
        base, neighbor, gap = (torch.cat(parts) for parts in zip(*(plan[:3] for plan in plans), strict=True))
        return Plan(base, neighbor, gap)

    def to(self, device: torch.device | str) -> Self:
        """Move the fitted graph and rows to ``device``, where ``sample`` then works."""
        self._table, self._codes = self._table.to(device), self._codes.to(device)
        return super().to(device)

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder = GraphBuilder(classes.table)
        for label in growing:
            neighbors = self._neighbors_in_class(classes, label, self.k_neighbors)
            builder.add(label, classes.ranks[label], classes.members[label], neighbors)
        graph = builder.graph()
        warn_of_scales(graph.rows)
        self._table, self._codes = classes.searchable(classes.table).clone(), classes.codes
        return graph

    def _accepted(self, label: Any, number: int, stream: Callable[[int], torch.Generator]) -> list[Plan]:
        """Return ``number`` accepted candidates of a class, in the order in which they were drawn, round by round."""
        level, poor, missing = self.rejection_level, 0, number
        kept: list[Plan] = []
        while missing:
            plan = self.graph_.draw({label: max(missing, _LEAST)}, stream)
            fit = (self._share_of_others(label, self.generate(plan)) < level).nonzero().flatten()
            chosen = fit[:missing]
            kept.append(Plan(plan.base[chosen], plan.neighbor[chosen], plan.gap[chosen]))
            missing -= len(chosen)
            poor += len(fit) < _POOR * len(plan.gap)
            if missing and poor == _PATIENCE:
                level, poor = round(level + _RAISE, 9), 0
                if level > 1:
                    self._degenerate(
                        f"Nearly all candidates of class {label!r} have only rows of other classes among their "
                        f"{self.k_neighbors} nearest. Using plain SMOTE for the last {missing} rows; try a larger "
                        "`k_neighbors`."
                    )
        return kept

    def _share_of_others(self, label: Any, rows: Tensor) -> Tensor:
        """Return the float64 share of other classes among the fitted rows nearest to each of ``rows``."""
        rows = Classes.searchable(rows)
        near = nearest(rows, self._table, self.k_neighbors, memory_budget=self.memory_budget).indices
        share: Tensor = (self._codes[near] != self.graph_.edges[label].rank).double().mean(1)
        return share
