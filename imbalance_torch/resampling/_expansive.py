"""Expansive over-sampling: new rows between a row of the class and a near row of another class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch

from imbalance_torch._checks import check_int
from imbalance_torch._random import RandomState
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._graph import Graph, GraphBuilder, Plan
from imbalance_torch.resampling._over import Classes, OverSampler, warn_of_scales
from imbalance_torch.resampling._surroundings import nearest_of_all


class ExpansiveOversampler(OverSampler):
    r"""Expansive over-sampling (EOS): synthetic rows on the segments from a row of the class to its nearest enemies.

    .. math:: x_{new} = a + \lambda (b - a), \quad \lambda \sim U[0, 1)

    with a a row of the class that has an enemy, a row of another class, among the ``n_neighbors`` nearest of all rows
    (uniform among such rows), and b one of these enemies (uniform). The new row gets the class of a, so that the class
    grows towards and beyond its border. Made for the features that a trained network puts out, on which the head is
    then trained again.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        n_neighbors: Nearest rows of all classes among which enemies are looked for, >= 1, fewer than all rows.
        k_neighbors: Neighbours of plain SMOTE, which a class without enemies falls back to, >= 1, fewer than its rows.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when no row of a class has an enemy, or synthetic rows can only be copies:
            ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The pairs of rows that synthetic rows come from.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, ``X`` has
            ``n_neighbors`` rows or fewer, or a class without enemies has ``k_neighbors`` rows or fewer.

    Notes:
        A class without enemies warns and grows by plain SMOTE, so that counts are exact. Rows can lie deep in another
        class, by design: on raw columns look at ``realism_report`` first. Containers, dtypes, rounding and seeds are
        as in ``SMOTE``. Time O(n N d) for n rows of the classes that grow among N; memory: the rows that have an enemy
        and their enemies, and 16 bytes per pair, at most ``n_neighbors`` pairs per row of the class.

    NOTE[DIFF]: As the paper says it, every enemy of a base row is as likely; the authors' program looks the chance of
    a neighbour up under that of the one before it, so that it can also join rows of one class.

    References:
        Dablain, Bellinger, Krawczyk, Chawla. Efficient Augmentation for Imbalanced Deep Learning. arXiv:2207.06080.

    Example:
        >>> X = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [4.5], [5.0]])
        >>> y = torch.tensor([0, 0, 0, 0, 1, 1, 1])
        >>> drawn = ExpansiveOversampler({1: 6}, n_neighbors=2, random_state=0).fit(X, y).sample(3)
        >>> drawn.base_index, drawn.neighbor_index  # the row at 4.0 alone has a row of class 0 among its two nearest
        (tensor([4, 4, 4]), tensor([3, 3, 3]))
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        n_neighbors: int = 10,
        k_neighbors: int = 5,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.n_neighbors = check_int("n_neighbors", n_neighbors, minimum=1)
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)

    def draw(self, counts: Mapping[Any, int], generator: torch.Generator | None = None) -> Plan:
        """Draw the plan of ``counts[label]`` rows of each class, from ``generator`` or the next of the own streams."""
        stream, edges = self.stream(generator), dict(self.graph_.edges)
        generators = {edges[label].rank: stream(edges[label].rank) for label in counts}
        for label, number in counts.items():
            sizes = edges[label].shares
            if sizes is not None:
                source = generators[edges[label].rank]
                base = torch.randint(int(sizes.sum()), (number,), generator=source, device=source.device).cpu()
                drawn = torch.bucketize(base, sizes.cumsum(0), right=True).bincount(minlength=len(sizes))
                edges[label] = replace(edges[label], shares=drawn)
        return replace(self.graph_, edges=edges).draw(counts, generators.__getitem__)

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder = GraphBuilder(classes.table)
        for label in growing:
            rank, members = classes.ranks[label], classes.members[label]
            distances, near = nearest_of_all(classes, members, self.n_neighbors, "n_neighbors", self.memory_budget)
            enemy = classes.codes[near] != rank
            if not enemy.any():
                self._degenerate(
                    f"No row of class {label!r} has a row of another class among its {self.n_neighbors} nearest. "
                    "Using plain SMOTE for it; try a larger `n_neighbors`."
                )
                builder.add(label, rank, members, self._neighbors_in_class(classes, label, self.k_neighbors))
                continue
            if not distances[enemy].any():
                self._degenerate(
                    f"All rows of class {label!r} equal the rows of other classes next to them, so synthetic rows are "
                    "copies. Drop rows that have two labels."
                )
            # Bases with equally many enemies are a group, in which a uniform pair is a uniform base and enemy.
            order = enemy.sum(1).argsort(stable=True)
            row, column = enemy[order].nonzero(as_tuple=True)
            groups, sizes = torch.unique_consecutive(enemy.sum(1)[order].cpu(), return_counts=True)
            pairs = torch.stack((members[order][row], near[order][row, column]), dim=1)
            parents, positions = torch.unique(pairs, return_inverse=True)
            builder.add(
                label,
                rank,
                parents,
                positions[:, 1:],
                bases=positions[:, 0],
                ends=(groups * sizes)[groups > 0].cumsum(0),
                shares=sizes[groups > 0],
            )
        graph = builder.graph()
        warn_of_scales(graph.rows)
        return graph
