"""ProWSyn: more synthetic rows from those rows of a class that lie nearer to the other classes, level by level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_number
from imbalance_torch._random import RandomState
from imbalance_torch.neighbors._knn import nearest
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._graph import Edges, Graph, GraphBuilder, allot
from imbalance_torch.resampling._over import Classes, OverSampler, warn_of_scales


class ProWSyn(OverSampler):
    r"""Proximity-weighted over-sampling: rows of a class are peeled into levels, near levels get more synthetic rows.

    .. math:: x_{new} = x_i + \lambda (x_j - x_i), \quad \lambda \sim U[0, 1), \quad
        G_l = G \, e^{-\theta (l - 1)} / \sum_m e^{-\theta (m - 1)}

    Level 1 are the rows of the class that are among the ``n_neighbors`` nearest rows of the class to any row of another
    class. They are set aside, level 2 is found in the same way among the rest, and so on, ``n_levels`` times; what then
    remains is one more group with the weight of the last level. Of G rows, level l gets :math:`G_l` (largest
    remainder), with :math:`\theta` = ``theta``. Both parents, x_i (``base_index``) and another row x_j
    (``neighbor_index``), are uniform in the level, and :math:`\lambda` is the ``gap``.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        n_levels: Levels that are peeled off, >= 1.
        theta: How fast the share of a level falls, >= 0; 0 gives all levels the same share, however many rows they
            hold.
        n_neighbors: Rows of the class that each row of another class marks per level, >= 1; where fewer are left,
            all of them.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when no level of a class has two rows, or all rows of each level are equal, so
            that synthetic rows are copies: ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The rows of each class that grows, level by level.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or a class that
            grows has one row.

    Notes:
        A level of one row has no pair and is left out; its share goes to the others. A class without a level of two
        rows warns and grows by plain SMOTE with ``n_neighbors`` neighbours (all, where there are fewer), so that counts
        are exact. With more than two classes every other class counts as "other". Containers, dtypes, rounding and
        seeds are as in ``SMOTE``. Time O(``n_levels`` n N d) for n rows of the classes that grow among N; memory: a
        copy of the rows of other classes while ``fit`` runs, then the rows of the classes that grow.

    NOTE[DIFF]: The share belongs to a level, not to each of its rows, and the parents come from one level, not from a
    cluster: this is the reading of smote-variants. That package draws the level of each row at random and copies the
    row of a level of one; here counts per level are exact and copies are left out. imbalanced-learn has no such method.

    References:
        Barua, Islam, Murase. ProWSyn: Proximity Weighted Synthetic Oversampling Technique for Imbalanced Data Set
        Learning. PAKDD 2013.

    Example:
        >>> X = torch.tensor([[0.0], [1.0], [2.0], [3.0], [3.5], [3.7], [4.0], [5.0], [6.0], [7.0]])
        >>> y = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
        >>> prowsyn = ProWSyn({1: 9}, n_levels=2, n_neighbors=2, random_state=0).fit(X, y)
        >>> (prowsyn.sample(1000).X < 5).sum()  # 1 / (1 + exp(-1)) of the rows lie between 4 and 5, level 1
        tensor(731)
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        n_levels: int = 5,
        theta: float = 1.0,
        n_neighbors: int = 5,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.n_levels = check_int("n_levels", n_levels, minimum=1)
        self.theta = check_number("theta", theta, minimum=0)
        self.n_neighbors = check_int("n_neighbors", n_neighbors, minimum=1)

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder, peeled = GraphBuilder(classes.table), []
        for label in growing:
            rank, members, rows = classes.ranks[label], classes.members[label], classes.rows(label)
            if len(rows) == 1:
                raise ValueError(
                    f"Synthetic rows join two rows of a class, got 1 row of class {label!r}. Use random over-sampling."
                )
            pairs = [(number, level) for number, level in enumerate(self._levels(classes, label)) if len(level) > 1]
            if not pairs:
                self._degenerate(
                    f"No level of class {label!r} has two rows. Using plain SMOTE for it; use a larger `n_neighbors`."
                )
                k = min(self.n_neighbors, len(rows) - 1)
                builder.add(label, rank, members, self._neighbors_in_class(classes, label, k, "n_neighbors"))
                continue
            if not any((rows[level] != rows[level[:1]]).any() for _, level in pairs):
                self._degenerate(
                    f"All rows in each level of class {label!r} are equal, so synthetic rows are copies. Use random "
                    "over-sampling, or drop duplicates."
                )
            depths = torch.tensor([min(number, self.n_levels - 1) for number, _ in pairs], dtype=torch.float64)
            bases = torch.cat([level for _, level in pairs])
            builder.add(
                label,
                rank,
                members,
                bases[:, None],
                bases=bases,
                ends=torch.tensor([len(level) for _, level in pairs]).cumsum(0),
                shares=(-self.theta * depths).softmax(0),
            )
            peeled.append(label)
        graph = builder.graph()
        warn_of_scales(graph.rows)
        return replace(graph, edges=graph.edges | {label: _Levels(**vars(graph.edges[label])) for label in peeled})

    def _levels(self, classes: Classes, label: Any) -> list[Tensor]:
        """Return the levels of a class, positions in its members, and what is left after them."""
        rows = classes.rows(label)
        others = classes.searchable(classes.table[classes.codes != classes.ranks[label]])
        rest = torch.arange(len(rows), device=rows.device)
        levels: list[Tensor] = []
        while len(rest) and len(levels) < self.n_levels:
            k = min(self.n_neighbors, len(rest))
            near = nearest(others, rows[rest], k, memory_budget=self.memory_budget).indices
            marked = torch.zeros(len(rest), dtype=torch.bool, device=rows.device)
            marked[near.flatten()] = True
            levels.append(rest[marked])
            rest = rest[~marked]
        return [*levels, rest]


@dataclass(frozen=True)
class _Levels(Edges):
    """Pairs of two different rows of one group of ``bases``; ``neighbors`` is not read."""

    def draw(self, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw ``number`` pairs and float64 gaps; the random numbers come from ``generator``, on its device."""
        assert self.ends is not None
        assert self.shares is not None
        group = torch.repeat_interleave(allot(number, self.shares, generator))
        size = self.ends.diff(prepend=self.ends.new_zeros(1))[group]
        draws = torch.rand((3, number), generator=generator, device=generator.device, dtype=torch.float64)
        first, step = draws[:2].cpu()
        first = (first * size).long()
        second = (first + 1 + (step * (size - 1)).long()) % size
        start, device = self.ends[group] - size, self.bases.device
        return self.bases[(start + first).to(device)], self.bases[(start + second).to(device)], draws[2].to(device)
