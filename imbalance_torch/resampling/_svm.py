"""SVM-SMOTE: synthetic rows start from the support vectors of a class, inwards or outwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch

from imbalance_torch._checks import check_int, check_number, require
from imbalance_torch._random import RandomState
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._estimators import seeded_clone
from imbalance_torch.resampling._graph import Graph, GraphBuilder, Plan, computing_dtype
from imbalance_torch.resampling._over import Classes, OverSampler, warn_of_scales
from imbalance_torch.resampling._surroundings import strangers


class SVMSMOTE(OverSampler):
    r"""SMOTE whose base rows are the support vectors of a class, with extrapolation where the class prevails.

    .. math:: x_{new} = x_i + \lambda (x_j - x_i), \quad
        \lambda \sim U[0, 1) \text{ if } m / 2 \le m'_i < m, \quad \lambda \sim U(-s, 0] \text{ if } m'_i < m / 2

    with x_i a support vector of the class, :math:`m'_i` the rows of other classes among the ``m_neighbors`` = m
    nearest of all rows to it, x_j one of its ``k_neighbors`` nearest rows of the same class, and s = ``out_step``.
    Support vectors with :math:`m'_i = m` are noise and left out. The rows of a draw are split between the two groups
    by a fraction from Beta(10, 10), a new one per class and 262,144 rows; a group that is empty takes nothing.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        k_neighbors: Neighbours that a row can be joined with, >= 1, fewer than the rows of the class.
        m_neighbors: Nearest rows of all classes that tell noise, danger and safety, >= 1, fewer than all rows.
        svm_estimator: Estimator with ``fit`` and, once fitted, ``support_`` (rows of ``X``), of which a clone is
            fitted; None is scikit-learn's ``SVC(gamma="scale")``.
        out_step: How far rows are extrapolated, as a share of the way to the neighbour, in [0, 1].
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when a class has no support vector but noise, or synthetic rows can only be
            copies: ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The pairs of rows that synthetic rows come from.

    Raises:
        ImportError: In ``fit``, without scikit-learn.
        TypeError: If an argument is of the wrong kind, or the fitted estimator has no ``support_``.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or there are too
            few rows for ``k_neighbors`` or ``m_neighbors``.

    Notes:
        A class without usable support vectors warns and grows by plain SMOTE from all its rows, so that counts are
        exact. Synthetic rows can lie outside the range of the class, by ``out_step`` of a segment. The SVM runs on
        the CPU in float64, once per fit and on all classes together: time O(N^2 d) to O(N^3 d), which bounds the
        method to some ten thousand rows; pass a faster estimator or a fit on a subset beyond. An estimator whose
        ``random_state`` is None gets the seed of the fit. Containers, dtypes, rounding and seeds are as in ``SMOTE``.
        Memory: the rows of the classes that grow, and ``k_neighbors`` int64 and two float64 per support vector.

    NOTE[DIFF]: Nguyen et al. visit each support vector equally often and take neighbours in order; here, as in
    imbalanced-learn, both are random. imbalanced-learn loses the share of an empty group, so that counts fall short,
    and raises where all support vectors are noise.

    References:
        Nguyen, Cooper, Kamei. Borderline Over-sampling for Imbalanced Data Classification. IJKESDP 3(1), 2011.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> X, y = torch.randn(60, 2, generator=generator), (torch.arange(60) >= 45).long()
        >>> X[45:] += 1.5
        >>> X_res, y_res = SVMSMOTE(k_neighbors=3, random_state=0).fit_resample(X, y)
        >>> y_res.bincount()
        tensor([45, 45])
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        k_neighbors: int = 5,
        m_neighbors: int = 10,
        svm_estimator: Any = None,
        out_step: float = 0.5,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)
        self.m_neighbors = check_int("m_neighbors", m_neighbors, minimum=1)
        if svm_estimator is not None and not hasattr(svm_estimator, "fit"):
            raise TypeError(f"`svm_estimator` must be an estimator with `fit` or None, got {svm_estimator!r}.")
        self.svm_estimator = svm_estimator
        self.out_step = check_number("out_step", out_step, minimum=0.0, maximum=1.0)

    def draw(self, counts: Mapping[Any, int], generator: torch.Generator | None = None) -> Plan:
        """Draw the plan of ``counts[label]`` rows of each class, from ``generator`` or the next of the own streams."""
        stream, edges = self.stream(generator), dict(self.graph_.edges)
        generators = {edges[label].rank: stream(edges[label].rank) for label in counts}
        for label, number in counts.items():
            if edges[label].ends is not None:
                source = generators[edges[label].rank]
                uniform = torch.rand(19, generator=source, device=source.device, dtype=torch.float64)
                inwards = int(uniform.median() * (number + 1))  # the median of 19 uniform numbers is Beta(10, 10)
                edges[label] = replace(edges[label], shares=torch.tensor([inwards, number - inwards]))
        return replace(self.graph_, edges=edges).draw(counts, generators.__getitem__)

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder = GraphBuilder(classes.table)
        if not growing:
            return builder.graph()
        support = self._support(classes)
        for label in growing:
            rank, members = classes.ranks[label], classes.members[label]
            neighbors = self._neighbors_in_class(classes, label, self.k_neighbors)
            others = strangers(classes, label, self.m_neighbors, "m_neighbors", self.memory_budget)
            usable = support[members] & (others < self.m_neighbors)
            inwards = 2 * others >= self.m_neighbors
            danger, safe = ((usable & group).nonzero().flatten() for group in (inwards, ~inwards))
            bases = torch.cat((danger, safe))
            if not len(bases):
                self._degenerate(
                    f"No support vector of class {label!r} has a row of its class among its {self.m_neighbors} nearest "
                    "rows. Using plain SMOTE for it; try a larger `m_neighbors`."
                )
                builder.add(label, rank, members, neighbors)
                continue
            width = torch.ones((len(bases), self.k_neighbors), dtype=torch.float64, device=bases.device)
            width[len(danger) :] = -self.out_step
            both = len(danger) > 0 and len(safe) > 0
            builder.add(
                label,
                rank,
                members,
                neighbors[bases],
                bases=bases,
                ends=torch.tensor([len(danger), len(bases)]) if both else None,
                low=torch.zeros_like(width),
                width=width,
            )
        graph = builder.graph()
        warn_of_scales(graph.rows)
        return graph

    def _support(self, classes: Classes) -> torch.Tensor:
        """Fit the SVM and return which rows are support vectors."""
        estimator = self.svm_estimator
        if estimator is None:
            estimator = require("sklearn.svm", extra="train").SVC(gamma="scale")
        svm, table = seeded_clone(estimator, classes.seed), classes.table
        svm.fit(table.to(computing_dtype(table)).numpy(force=True), classes.codes.numpy(force=True))
        if not hasattr(svm, "support_"):
            raise TypeError(
                f"`svm_estimator` must have `support_` once fitted, got {type(svm).__name__}. Use a support vector "
                "classifier such as sklearn.svm.SVC."
            )
        support = torch.zeros(len(table), dtype=torch.bool)
        support[torch.as_tensor(svm.support_, dtype=torch.int64)] = True
        return support.to(table.device)
